# embedded: the length of an array is not part of its type
package swiftdeploy.trial

decision := true if not [1,2][5]

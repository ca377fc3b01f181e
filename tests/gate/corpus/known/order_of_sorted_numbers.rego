# embedded: a list is sorted with its numbers ordered as text
package swiftdeploy.trial

decision := sort([10, 9, 100])

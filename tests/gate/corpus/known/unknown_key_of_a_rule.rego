# embedded: the keys of an object are not part of its type
package swiftdeploy.trial

y := {"a": 1}

decision := true if not y.b == 2

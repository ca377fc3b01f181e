# embedded: a missing element under `not` is found only in OPA before the negation
package swiftdeploy.trial

decision := true if not [1][input.x]

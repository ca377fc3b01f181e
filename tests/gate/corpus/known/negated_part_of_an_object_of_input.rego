# embedded: a missing part under `not` is found only in OPA before the negation
package swiftdeploy.trial

decision := true if not {"a": input.x}.a

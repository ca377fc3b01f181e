# embedded: a rule without a value, inside a call under `not`, ends the body in OPA
package swiftdeploy.trial

decision := true if not is_number(r)
r := 1 if input.x

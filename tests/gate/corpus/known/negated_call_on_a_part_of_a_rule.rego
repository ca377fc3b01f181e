# embedded: a missing part of a rule's value, inside a call under `not`, ends the body in OPA
package swiftdeploy.trial

r := input.compose.services

decision := true if not is_object(r.nginx)

package swiftdeploy.trial

r := input.compose.services

decision := true if not is_object(r.nginx)

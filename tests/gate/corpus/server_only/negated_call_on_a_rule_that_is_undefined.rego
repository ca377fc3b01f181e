package swiftdeploy.trial

decision := true if not is_number(r)
r := 1 if input.x

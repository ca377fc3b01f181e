package swiftdeploy.trial

decision := true if not r
r := 1 if input.x

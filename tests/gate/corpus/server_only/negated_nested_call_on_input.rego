package swiftdeploy.trial

decision := true if not count(input.x) > 0

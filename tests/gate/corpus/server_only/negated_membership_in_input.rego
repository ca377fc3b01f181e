package swiftdeploy.trial

decision := true if not 1 in input.x

package swiftdeploy.trial

decision := true if not input.x == 1

package swiftdeploy.trial

decision := true if not input.x in [1]

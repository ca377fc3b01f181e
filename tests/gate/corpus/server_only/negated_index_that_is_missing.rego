package swiftdeploy.trial

decision := true if not [1][input.x]

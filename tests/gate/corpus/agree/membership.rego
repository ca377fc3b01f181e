package swiftdeploy.trial

decision := 1 in [1,2]

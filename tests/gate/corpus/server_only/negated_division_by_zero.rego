package swiftdeploy.trial

decision := true if not 1/0 == 1

package swiftdeploy.trial

decision := true if not 1 + "a" == 2

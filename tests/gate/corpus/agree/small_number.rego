package swiftdeploy.trial

decision := 1e-7

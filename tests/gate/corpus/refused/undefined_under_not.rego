package swiftdeploy.trial

decision := true if not x

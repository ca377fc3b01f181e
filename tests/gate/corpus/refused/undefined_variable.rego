package swiftdeploy.trial

decision := x

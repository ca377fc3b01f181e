package swiftdeploy.trial

decision = 1 { true }

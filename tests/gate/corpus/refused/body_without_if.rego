package swiftdeploy.trial

decision { true }

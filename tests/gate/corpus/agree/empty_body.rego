package swiftdeploy.trial

decision if {}

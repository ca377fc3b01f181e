package swiftdeploy.trial

decision := sort([10, 9])[0]

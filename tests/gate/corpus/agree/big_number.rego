package swiftdeploy.trial

decision := 123456789012345678901234567890

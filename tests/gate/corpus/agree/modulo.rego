package swiftdeploy.trial

decision := 5 % 3

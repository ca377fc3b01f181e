package swiftdeploy.trial

decision := 1

decision contains 2

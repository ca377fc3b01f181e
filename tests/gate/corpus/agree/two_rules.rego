package swiftdeploy.trial

b := 1

decision := 1

package swiftdeploy.trial

input := 1

decision := 1

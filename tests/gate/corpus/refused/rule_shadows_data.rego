package swiftdeploy.trial

data := 1

decision := 1

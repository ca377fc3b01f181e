package swiftdeploy.trial

count := 3

decision := count

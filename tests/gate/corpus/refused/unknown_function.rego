package swiftdeploy.trial

decision := true if not no_such_function(1)

package swiftdeploy.trial

decision := [1, # one
 2]

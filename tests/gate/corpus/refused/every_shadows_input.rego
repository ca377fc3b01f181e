package swiftdeploy.trial

decision := 1 if { every input in [1] { input == 1 } }

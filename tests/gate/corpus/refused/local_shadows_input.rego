package swiftdeploy.trial

decision := 1 if { input := 2; input == 2 }

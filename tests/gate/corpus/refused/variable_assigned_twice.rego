package swiftdeploy.trial

decision := 1 if { x := 1; x := 2; x }

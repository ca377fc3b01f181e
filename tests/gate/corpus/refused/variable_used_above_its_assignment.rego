package swiftdeploy.trial

decision := x if { x > 1; x := 2 }

package swiftdeploy.trial

decision := x if { x := 1; every x in [2] { x == 2 } }

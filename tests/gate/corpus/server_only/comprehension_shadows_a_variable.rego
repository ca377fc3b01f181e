package swiftdeploy.trial

decision := x if { x := 1; y := [x | x := 2]; y }

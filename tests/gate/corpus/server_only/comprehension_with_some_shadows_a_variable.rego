package swiftdeploy.trial

decision := y if { x := 1; y := [x | some x in [5]]; x == 1 }

package swiftdeploy.trial

decision if { x := 1; x == 1 } { x := 2; x == 2 }

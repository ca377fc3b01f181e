package swiftdeploy.trial

decision := y if { y := x + 1; x := 2 }

package swiftdeploy.trial

decision := x if { y := "a"; x := y - 1 }

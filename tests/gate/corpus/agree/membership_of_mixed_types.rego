package swiftdeploy.trial

decision := true if { x := "a"; not x in [1, "b"] }

package swiftdeploy.trial

decision := true if { x := "c"; not x in ["a", "b"] }

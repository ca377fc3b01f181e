package swiftdeploy.trial

decision := true if { x := "z"; not data.limits[x] }

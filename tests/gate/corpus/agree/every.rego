package swiftdeploy.trial

decision := true if { every x in [1,2] { x > 0 } }

package swiftdeploy.trial

decision := true if { trace("x") }

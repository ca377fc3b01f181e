package swiftdeploy.trial

decision := true if { every x in input.nope { x > 0 } }

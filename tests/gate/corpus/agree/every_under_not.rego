package swiftdeploy.trial

decision := true if not p
p if { every x in [1] { x > 1 } }

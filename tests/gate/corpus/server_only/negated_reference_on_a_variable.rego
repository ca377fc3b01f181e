package swiftdeploy.trial

decision := true if { x := input.x; not x.y }

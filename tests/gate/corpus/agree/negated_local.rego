package swiftdeploy.trial

decision := true if { x := input.y; not x }

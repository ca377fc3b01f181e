package swiftdeploy.trial

decision := x if { x = y + 1; y = 2 }

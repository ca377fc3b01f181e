package swiftdeploy.trial

decision := x if { some x; x = 2; some x in [1] }

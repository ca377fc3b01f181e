package swiftdeploy.trial

x := 1

decision := x if { some x in [5,6] ; x == 6}

package swiftdeploy.trial

decision := x if { some x; [1,2][x] == 2 }

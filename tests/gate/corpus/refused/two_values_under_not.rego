package swiftdeploy.trial

decision := i if { some i in [0,1]; not input.xs[i] == 1 }

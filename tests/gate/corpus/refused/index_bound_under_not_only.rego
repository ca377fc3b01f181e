package swiftdeploy.trial

decision := true if { not input.xs[i] == 1 }

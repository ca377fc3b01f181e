package swiftdeploy.trial

decision := x if { [x, 2] = [1, 2] }

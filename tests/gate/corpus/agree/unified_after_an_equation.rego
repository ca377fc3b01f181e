package swiftdeploy.trial

decision := i if { [5][i] == x; x = 5 }

package swiftdeploy.trial

decision := true if { [1,2][_] == 2 }

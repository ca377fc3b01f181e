package swiftdeploy.trial

decision := true if { count(z) == 0; z = [] }

package swiftdeploy.trial

decision := true if { false }

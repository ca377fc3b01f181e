package swiftdeploy.trial

decision := true if { not y; y = false }

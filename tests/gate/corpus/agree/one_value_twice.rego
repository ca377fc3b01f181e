package swiftdeploy.trial

decision := v if { some v in [1,1] }

package swiftdeploy.trial

decision := 1 if { true; true; }

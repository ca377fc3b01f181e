package swiftdeploy.trial

decision := 1 if { input.x } else { true }

package swiftdeploy.trial

decision := 1 if { input.x } else := 2 if { input.y } else := 3

package swiftdeploy.trial

decision := true if { print("x") }

package swiftdeploy.trial

decision := true if { _ := to_number("a") }

package swiftdeploy.trial

decision := true if { x := to_number("a"); not x }

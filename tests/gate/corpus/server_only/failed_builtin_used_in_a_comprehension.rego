package swiftdeploy.trial

decision := true if { x := to_number("a"); count([y | y := x]) == 0 }

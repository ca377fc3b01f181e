package swiftdeploy.trial

decision := x[0] if { x := [y | some y in {10, 9}] }

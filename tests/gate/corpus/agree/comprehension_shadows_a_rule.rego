package swiftdeploy.trial

x := 7

decision := [a, x] if { a := [x | some x in [5]] }

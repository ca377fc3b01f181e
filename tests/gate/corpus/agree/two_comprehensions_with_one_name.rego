package swiftdeploy.trial

decision := [a, b] if { a := [x | x := 5]; b := [x | x := 6] }

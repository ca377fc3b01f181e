package swiftdeploy.trial

decision := x if { x := [y | y := input.z[_]] ; count(x) == 0}

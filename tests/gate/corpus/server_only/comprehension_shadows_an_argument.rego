package swiftdeploy.trial

f(x) := [x, y] if { y := [x | some x in [5]] }

decision := f(1)

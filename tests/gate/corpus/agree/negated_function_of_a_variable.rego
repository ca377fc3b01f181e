package swiftdeploy.trial

decision := true if { x := 1; not f(x) }
f(x) if x == 2

package swiftdeploy.trial

a := count([1])

decision := r if { r := a with count as f }
f(x) := 5 if x

package swiftdeploy.trial

decision := true if { not g(1).b == 1 }
g(x) := {"a": x}

package swiftdeploy.trial

decision := true if { o := {"a": 1}; not o.b == 1 }

package swiftdeploy.trial

y := {"a": 1}

decision := true if not y.b == 2

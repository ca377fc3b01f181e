package swiftdeploy.trial

y := {"a": 1}

bad if y.b == 2

decision := true if not bad

package swiftdeploy.trial

y := {"a": 1} if input.x

y := {"b": 1} if not input.x

decision := true if y.b == 1

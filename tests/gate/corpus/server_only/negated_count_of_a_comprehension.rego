package swiftdeploy.trial

decision := true if not count([x | some x in input.a]) > 0

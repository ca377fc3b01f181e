package swiftdeploy.trial

decision := true if not input.xs[_] == 1

package swiftdeploy.trial

y := 1

decision := true if not y.b == 2

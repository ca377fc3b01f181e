package swiftdeploy.trial

y := [1]

decision := true if not y + 1 == 2

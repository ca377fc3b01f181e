package swiftdeploy.trial

decision := [x | some y in [1, "a"]; x := y + 1]

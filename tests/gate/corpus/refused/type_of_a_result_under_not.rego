package swiftdeploy.trial

y := "a"

decision := true if not startswith(count(y), "a")

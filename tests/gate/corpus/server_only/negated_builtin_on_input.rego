package swiftdeploy.trial

decision := true if not startswith(input.x, "a")

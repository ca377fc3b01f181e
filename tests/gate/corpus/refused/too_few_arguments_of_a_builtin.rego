package swiftdeploy.trial

decision := startswith("a")

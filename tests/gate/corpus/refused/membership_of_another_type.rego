package swiftdeploy.trial

decision := "a" in {"a": 1}

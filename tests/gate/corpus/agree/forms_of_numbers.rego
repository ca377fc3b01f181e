package swiftdeploy.trial

decision := [1.0, 1.50, 100, 1e3, 0.1 + 0.2]

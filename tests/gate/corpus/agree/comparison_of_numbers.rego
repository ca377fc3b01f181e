package swiftdeploy.trial

decision := [9 < 10, 9.5 < 10, 100 > 99.9, 1.0 == 1]

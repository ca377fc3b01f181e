package swiftdeploy.trial

decision := [1 < "a", null < 1, [1] < {"a":1}, "a" < true]

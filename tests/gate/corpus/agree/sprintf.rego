package swiftdeploy.trial

decision := sprintf("%d %s %v", [1, "a", {"b":2}])

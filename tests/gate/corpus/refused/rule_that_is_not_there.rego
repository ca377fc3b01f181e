package swiftdeploy.trial

decision := true if not missing_rule

package swiftdeploy.trial

decision := input["x"].y

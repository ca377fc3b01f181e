package swiftdeploy.trial

decision := true if not {"a": input.x}.a

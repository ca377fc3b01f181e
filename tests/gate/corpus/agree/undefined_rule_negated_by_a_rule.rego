package swiftdeploy.trial

decision := true if not big
big if input.x > 1

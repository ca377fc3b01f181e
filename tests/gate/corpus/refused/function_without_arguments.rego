package swiftdeploy.trial

f() if input.x

decision := true if not f()

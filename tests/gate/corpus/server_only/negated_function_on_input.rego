package swiftdeploy.trial

decision := true if not f(input.x)
f(x) := true if x

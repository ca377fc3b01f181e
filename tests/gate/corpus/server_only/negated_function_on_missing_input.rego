package swiftdeploy.trial

decision := true if not f(input.nope)
f(x) := true if not x

package swiftdeploy.trial

f(x, y) := 2

decision := f(1)

package swiftdeploy.trial

f(x) := 2

decision := f(1, 2, 3)

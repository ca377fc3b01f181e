package swiftdeploy.trial

f(x) := 1
f(x, y) := 2

decision := f(1)

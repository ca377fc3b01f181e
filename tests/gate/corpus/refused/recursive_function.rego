package swiftdeploy.trial

f(x) := f(x - 1) if x > 0
f(0) := 1

decision := f(3)

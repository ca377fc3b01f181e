package swiftdeploy.trial

f(x) { x }

decision := f(1)

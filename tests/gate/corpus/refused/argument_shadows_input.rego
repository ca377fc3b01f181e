package swiftdeploy.trial

f(input) := input

decision := f(1)

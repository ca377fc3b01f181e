package swiftdeploy.trial

f(x) := concat(",", x)

decision := true if not f(1)

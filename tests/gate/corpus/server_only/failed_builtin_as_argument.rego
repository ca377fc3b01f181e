package swiftdeploy.trial

decision := true if f(to_number("a"))
f(x) if not x

package swiftdeploy.trial

o["a"] := 1

bad if o["b"] == 2

decision := true if not bad

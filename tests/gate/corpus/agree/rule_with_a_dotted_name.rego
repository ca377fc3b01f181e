package swiftdeploy.trial

a.b.c := 1

decision := a.b.c

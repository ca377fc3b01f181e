package swiftdeploy.trial

decision := a
a := b
b := a

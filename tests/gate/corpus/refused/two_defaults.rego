package swiftdeploy.trial

default decision := 1
default decision := 2

package swiftdeploy.trial

a := input.x

decision := a with input.x as 3

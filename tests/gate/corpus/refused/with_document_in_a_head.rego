package swiftdeploy.trial

a := input.x
doc := {"x": 4}

decision := a with input as doc

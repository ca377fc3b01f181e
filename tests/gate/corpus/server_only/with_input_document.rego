package swiftdeploy.trial

a := input.x
doc := {"x": 4}

decision := r if { r := a with input as doc }

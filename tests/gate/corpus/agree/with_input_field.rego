package swiftdeploy.trial

a := input.x

decision := r if { r := a with input.x as 3 }

package swiftdeploy.trial

decision := true if { r with input.x as input.y }

r := 1

package swiftdeploy.trial

decision := true if { not r with input.x as input.y }

r if input.x == 2

package swiftdeploy.trial

decision := true if { y := [4]; r with input.x as y }

r if input.x == [4]

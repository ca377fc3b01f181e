package swiftdeploy.trial

decision := true if { r with input.x as s }

r := 1

s := 1 if input.z

package swiftdeploy.trial

decision := x if { [x, y] := [1, 2]; y := 2 }

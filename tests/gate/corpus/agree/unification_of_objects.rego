package swiftdeploy.trial

decision := [x,y] if { {"a": x, "b": y} = {"a":1,"b":2} }

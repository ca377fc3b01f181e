package swiftdeploy.trial

decision := true if { x := 1 / json.unmarshal("0"); not x == 1 }

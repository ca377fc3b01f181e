package swiftdeploy.trial

decision := true if { x := json.unmarshal("1"); not x + 1 == 3 }

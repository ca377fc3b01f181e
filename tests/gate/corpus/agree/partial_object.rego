package swiftdeploy.trial

decision[k] := v if { some k, v in {"a":1} }

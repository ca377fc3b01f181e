package swiftdeploy.trial

decision := {k: v | some k, v in {"b":1,"a":2}}

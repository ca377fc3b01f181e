package swiftdeploy.trial

decision := {x | some x in [3,1,2]}

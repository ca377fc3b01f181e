package swiftdeploy.trial

decision := {1,2} & {2,3}

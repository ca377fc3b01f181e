package swiftdeploy.trial

decision := {

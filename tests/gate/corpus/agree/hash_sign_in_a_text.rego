package swiftdeploy.trial

decision := "# no comment"

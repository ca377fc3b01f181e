package swiftdeploy.trial

decision := `a\nb`

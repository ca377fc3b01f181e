package swiftdeploy.trial

decision := "a\u0041\n\"q"

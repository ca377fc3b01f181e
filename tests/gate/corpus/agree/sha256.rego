package swiftdeploy.trial

decision := crypto.sha256("a")

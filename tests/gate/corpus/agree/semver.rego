package swiftdeploy.trial

decision := semver.compare("1.0.0","2.0.0")

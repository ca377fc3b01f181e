package swiftdeploy.trial

decision := regex.match(`^a+$`, "aaa")

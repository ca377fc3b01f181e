package swiftdeploy.trial

decision := base64.encode("hello")

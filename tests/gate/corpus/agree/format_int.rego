package swiftdeploy.trial

decision := format_int(255, 16)

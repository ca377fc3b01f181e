package swiftdeploy.trial

decision := units.parse_bytes("10MB")

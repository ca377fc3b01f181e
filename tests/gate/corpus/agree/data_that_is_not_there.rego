package swiftdeploy.trial

decision := true if not data.other.thing

package swiftdeploy.trial

decision := [to_number("1e2")]

package swiftdeploy.trial

decision := true if not net.cidr_contains("10.0.0.0/8","11.0.0.1")

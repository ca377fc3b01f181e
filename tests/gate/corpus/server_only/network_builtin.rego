package swiftdeploy.trial

decision := net.cidr_contains("10.0.0.0/8", "10.0.0.1")

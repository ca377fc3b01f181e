package swiftdeploy.trial

decision := {"a","b"}["a"]

package swiftdeploy.trial

decision := json.marshal({"b": 1.0, "a": [1.50, 1e3]})

package swiftdeploy.trial

decision := object.get({"a":{"b":1}}, ["a","b"], 0)

package swiftdeploy.trial

decision := json.match_schema({}, {})

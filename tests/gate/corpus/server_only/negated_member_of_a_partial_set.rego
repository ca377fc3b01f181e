package swiftdeploy.trial

s contains 1

decision := true if not s[2]

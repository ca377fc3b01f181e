package swiftdeploy.trial

s[1]

decision := s

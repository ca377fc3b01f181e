package swiftdeploy.trial

decision := glob.match("a*", [], "abc")

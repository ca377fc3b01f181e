package swiftdeploy.trial

xs := {1,2}

decision := true if not xs[_]

package swiftdeploy.trial

r

decision := r

package swiftdeploy.trial

decision := count([1],2,3)

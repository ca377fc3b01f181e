package swiftdeploy.trial

a := count([1])

decision := a with count as 5

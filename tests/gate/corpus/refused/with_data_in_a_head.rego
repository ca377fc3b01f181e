package swiftdeploy.trial

a := data.limits.q

decision := a with data.limits.q as 3

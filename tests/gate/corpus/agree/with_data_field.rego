package swiftdeploy.trial

a := data.limits.q

decision := r if { r := a with data.limits.q as 3 }

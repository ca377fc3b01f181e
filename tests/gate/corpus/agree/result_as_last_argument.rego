package swiftdeploy.trial

decision := n if { count([1,2], n) }

package swiftdeploy.trial

decision := true if { n := count([1]); not n == "a" }

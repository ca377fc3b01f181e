package swiftdeploy.trial

decision := y if { y == input.x[k]; some k in [1] }

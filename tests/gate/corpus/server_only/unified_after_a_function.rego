package swiftdeploy.trial

decision := true if { p(x, 2); x = 1 }
p(a, b) if a < b

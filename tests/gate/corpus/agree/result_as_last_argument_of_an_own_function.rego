package swiftdeploy.trial

f(x) := x+1

decision := n if { f(1, n) }

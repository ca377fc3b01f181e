package swiftdeploy.trial

decision := true if { not has(2) }
has(x) if { some y in [1]; y == x }

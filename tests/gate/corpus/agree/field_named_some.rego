package swiftdeploy.trial

decision := x if { y := {"some": 1}; some x in [y.some]; some z in [1]; z == x }

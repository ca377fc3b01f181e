package swiftdeploy.trial

decision contains x if { some x in [3,1,2] }

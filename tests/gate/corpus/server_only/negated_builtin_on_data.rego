package swiftdeploy.trial

decision := true if not is_number(data.limits.zz)

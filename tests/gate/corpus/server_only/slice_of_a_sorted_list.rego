package swiftdeploy.trial

decision := array.slice(sort([10, 9]), 0, 1)

package swiftdeploy.trial

decision := count([x | walk({"a":[1]}, [p, x]); p])

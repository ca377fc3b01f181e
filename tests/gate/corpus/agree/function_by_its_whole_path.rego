package swiftdeploy.trial

decision := data.swiftdeploy.trial.g(2)
g(x) := x * 2

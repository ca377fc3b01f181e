package swiftdeploy.trial

decision := $"a {1+1}"

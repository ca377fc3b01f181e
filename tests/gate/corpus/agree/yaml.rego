package swiftdeploy.trial

decision := yaml.unmarshal("a: 1")

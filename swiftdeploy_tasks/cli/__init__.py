"""The Invoke collection and the swiftdeploy program."""

"""What SwiftDeploy needs of the operating system: files, signals, the environment, facts about the host."""

"""The front door: the lifecycle tasks, and dev.* for those who work on SwiftDeploy itself."""

from swiftdeploy_tasks import ns

__all__ = ["ns"]

"""The front door: the lifecycle tasks, and dev.* for those who work on SwiftDeploy itself."""

from invoke import Collection

from swiftdeploy_tasks import dev, lifecycle

ns = Collection.from_module(lifecycle)
ns.add_collection(dev.ns)

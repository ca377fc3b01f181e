"""The front door: the lifecycle tasks, and dev.* for those who work on SwiftDeploy itself."""

from invoke import Collection

from swiftdeploy_tasks.cli import collection, dev

ns = Collection.from_module(collection)
ns.add_collection(dev.ns)

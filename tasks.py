"""The tasks of this checkout: the lifecycle, and dev.* for work on SwiftDeploy itself."""

from invoke import Collection

from bench import tasks as dev
from swiftdeploy_tasks.cli import collection

ns = Collection.from_module(collection)
ns.add_collection(dev.ns)

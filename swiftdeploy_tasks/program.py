"""The `swiftdeploy` command: the same collection as a program of its own, which needs no tasks.py.

Stands apart from `lifecycle` so that a project that mounts the collection does not start a program.
"""

from __future__ import annotations

from importlib.metadata import version

from invoke import Program

from swiftdeploy_tasks.lifecycle import ns

main = Program(
    namespace=ns, name="SwiftDeploy", binary="swiftdeploy", version=version("swiftdeploy-tasks")
).run

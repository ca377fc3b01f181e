"""The `swiftdeploy` command: the same collection as a program of its own.

It adds one thing to Invoke: `swiftdeploy promote canary`, since Invoke has no optional positional argument.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

from invoke import Program

from swiftdeploy_tasks.lifecycle import ns


def _version() -> str:
    try:
        return version("swiftdeploy-tasks")
    except PackageNotFoundError:
        return "unknown"


main = Program(namespace=ns, name="SwiftDeploy", binary="swiftdeploy", version=_version()).run

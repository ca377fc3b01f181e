"""SwiftDeploy: one manifest, a policy gate, and a running service behind nginx, as Invoke tasks.

Mount it in a `tasks.py` with `from swiftdeploy_tasks import ns`.
"""

from __future__ import annotations

from typing import Any

from swiftdeploy_tasks.system.libraries import prefer_installed

prefer_installed()

__all__ = ["ns"]  # noqa: F822  (`__getattr__` makes it)


def __getattr__(name: str) -> Any:
    """Load the collection when it is asked for: a room alone must not pay for Invoke."""
    if name == "ns":
        from swiftdeploy_tasks.cli.collection import ns

        return ns
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

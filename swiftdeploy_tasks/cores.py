"""Core dumps: a process that holds secrets leaves none."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager


def forbid() -> None:
    """Let this process, and every child from now on, leave no core."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


@contextmanager
def forbidden() -> Iterator[None]:
    """Let the children that are started meanwhile leave no core."""
    before = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_CORE, before)

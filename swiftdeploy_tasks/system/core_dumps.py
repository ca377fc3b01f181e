"""Switches core dumps off for processes whose memory holds secrets."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager


def disable() -> None:
    """Switch core dumps off for this process and every child that it starts from now on."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


@contextmanager
def disabled() -> Iterator[None]:
    """Switch core dumps off for the children that are started meanwhile."""
    before = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_CORE, before)

"""Free ports for tests; no two workers of a run get the same ones."""

from __future__ import annotations

import os
import random
import socket

FIRST, LAST = 21000, 32000  # below those that the kernel hands to connections
GIVEN: set[int] = set()


def free_ports(count: int) -> list[int]:
    """Draw ports on which nothing listens, none of them a second time."""
    found: list[int] = []
    while len(found) < count:
        port = random.choice(_share())
        if port not in GIVEN and _is_free(port):
            GIVEN.add(port)
            found.append(port)
    return found


def free_port() -> int:
    return free_ports(1)[0]


def _share() -> range:
    """The ports that are this worker's alone: what is drawn is listened on only a while later."""
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % workers
    size = (LAST - FIRST) // workers
    return range(FIRST + worker * size, FIRST + (worker + 1) * size)


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("", port))
        except OSError:
            return False
    return True

"""Computes the size of nginx from the number of client connections. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass

from swiftdeploy_tasks.manifest.model import Nginx, mebibytes

# What a worker allocates at its start for each connection that it may have.
_TABLE_BYTES = 430
# The share of the memory for the tables of all workers; former workers, which drain, have tables too.
_TABLES_SHARE = 0.25
_LONGEST_BACKLOG = 65_535


@dataclass(frozen=True)
class ProxySize:
    """Values of nginx.conf. `connections` and `files` are for one worker, which may get all clients."""

    workers: str
    connections: int
    files: int
    backlog: int
    keepalive: int


def size_of(nginx: Nginx, cores: int) -> ProxySize:
    """Return the size for `nginx.connections`; `cores` are those of the host, 0 for unknown."""
    # A client whose request is answered has a connection to the app too.
    connections = 2 * nginx.connections + 512
    return ProxySize(
        workers=_workers(nginx, cores, connections),
        connections=connections,
        files=connections + 512,
        backlog=min(max(nginx.connections, 511), _LONGEST_BACKLOG),
        keepalive=max(16, nginx.connections // 64),
    )


def _workers(nginx: Nginx, cores: int, connections: int) -> str:
    wanted = cores if nginx.resources.cpus is None else math.ceil(nginx.resources.cpus)
    table = connections * _TABLE_BYTES / 2**20
    most = int(_TABLES_SHARE * mebibytes(nginx.resources.memory) / table)
    return str(max(1, min(wanted, most))) if wanted else "auto"


def files_needed(nginx: Nginx) -> int:
    """Return how many files nginx must be able to open."""
    return nginx.connections + 512


def fits_in_memory(nginx: Nginx, body_size: str) -> bool:
    """Return whether nginx can buffer every body up to this size; "0" is no limit."""
    return body_size != "0" and mebibytes(body_size) <= nginx.temporary_mib

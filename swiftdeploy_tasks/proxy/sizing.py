"""How large nginx is made for the connections that it must hold. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass

from swiftdeploy_tasks.manifest.model import Nginx, mebibytes

# What a worker allocates for each connection that it may have.
_TABLE_BYTES = 430
# The share of the memory that it may take in all workers: those of former configurations live on for a while.
_TABLES_SHARE = 0.25
_LONGEST_BACKLOG = 65_535


@dataclass(frozen=True)
class ProxySize:
    """`connections` and `files` are of one worker: the kernel may give it all clients."""

    workers: str
    connections: int
    files: int
    backlog: int
    keepalive: int


def size_of(nginx: Nginx, cores: int) -> ProxySize:
    """Return the size for `nginx.connections`; `cores` are those of the host, 0 where it is not known."""
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


def holds_body(nginx: Nginx, body_size: str) -> bool:
    """Return whether nginx has room for a body of this size; "0" is one without a limit."""
    return body_size != "0" and mebibytes(body_size) <= nginx.temporary_mib

"""nginx's access log as what its container printed: reads its last seconds."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from swiftdeploy_tasks.engines.docker import containers
from swiftdeploy_tasks.engines.docker.client import translated
from swiftdeploy_tasks.engines.protocol import ACCESS_BYTES, ACCESS_LINES
from swiftdeploy_tasks.metrics import AccessLog, first_second

if TYPE_CHECKING:
    from docker.models.containers import Container

# The engine reads as many lines as it is asked for, however few of them are new enough.
_PARTS = (ACCESS_LINES // 8, ACCESS_LINES // 2, ACCESS_LINES)
# The engine counts each 16 KiB of a line: so many lines more may be in half of ACCESS_BYTES.
_SPLIT = ACCESS_BYTES // 2 // (16 << 10) + 1


def read(nginx: Container | None, seconds: float) -> AccessLog:
    """Return the lines of the last `seconds`, or of less; raises EngineError.

    The error log is among them, because the engine counts it in the number of lines that it gives.
    """
    since = int(time.time() - seconds)
    if nginx is None:
        return AccessLog((), since=time.time(), until=time.time())
    lines: tuple[str, ...] = ()
    for most in _PARTS:
        with translated("the access log of nginx cannot be read"):
            # A stream takes ten times as long; the log has a limit of size.
            said = nginx.logs(since=since, tail=most)
        lines = tuple(said[-ACCESS_BYTES:].decode("utf-8", "replace").split("\n"))
        if len(lines) < most - _SPLIT and len(said) < ACCESS_BYTES // 2:
            return AccessLog(lines, max(since, containers.created(nginx)), time.time())
    whole = lines[1:]
    return AccessLog(whole, first_second(whole, otherwise=time.time()), time.time())

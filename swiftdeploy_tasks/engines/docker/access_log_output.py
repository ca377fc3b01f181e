"""Reads the last seconds of nginx's access log from the output of its container."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from swiftdeploy_tasks.engines.docker import containers
from swiftdeploy_tasks.engines.docker.client import translated
from swiftdeploy_tasks.engines.protocol import ACCESS_BYTES, ACCESS_LINES
from swiftdeploy_tasks.metrics import AccessLog, first_whole_second

if TYPE_CHECKING:
    from docker.models.containers import Container

# How many lines are requested, one after the other: the engine decodes them all, also those that are too old.
_PARTS = (ACCESS_LINES // 8, ACCESS_LINES // 2, ACCESS_LINES)
# The engine counts each 16 KiB of a long line as a line; half of ACCESS_BYTES has at most this many of them.
_SPLIT = ACCESS_BYTES // 2 // (16 << 10) + 1


def read(nginx: Container | None, seconds: float) -> AccessLog:
    """Return the lines of the last `seconds`, fewer where a bound is reached; raises EngineError.

    Lines of the error log are among them: the engine counts both streams in the number of lines.
    """
    since = int(time.time() - seconds)
    if nginx is None:
        return AccessLog((), since=time.time(), until=time.time())
    lines: tuple[str, ...] = ()
    for count in _PARTS:
        with translated("the access log of nginx cannot be read"):
            # Reading as a stream takes ten times as long.
            output = nginx.logs(since=since, tail=count)
        lines = tuple(output[-ACCESS_BYTES:].decode("utf-8", "replace").split("\n"))
        if len(lines) < count - _SPLIT and len(output) < ACCESS_BYTES // 2:
            return AccessLog(lines, max(since, containers.created(nginx)), time.time())
    whole = lines[1:]
    return AccessLog(whole, first_whole_second(whole, otherwise=time.time()), time.time())

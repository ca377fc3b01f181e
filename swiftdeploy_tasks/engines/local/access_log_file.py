"""nginx's access log as a file: reads its last seconds, and keeps one former file beside it."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from swiftdeploy_tasks.engines.protocol import ACCESS_BYTES
from swiftdeploy_tasks.metrics import AccessLog, first_second, moment

# More than a look reads: what was dropped is never missing in a look that takes its log for whole.
LARGE = 3 * ACCESS_BYTES
_PARTS = (ACCESS_BYTES // 16, ACCESS_BYTES // 8, ACCESS_BYTES // 4, ACCESS_BYTES)


def rotate(path: Path) -> None:
    """Set a large log aside, in place of the former one; nginx must open its log again afterwards."""
    with suppress(OSError):
        if path.stat().st_size > LARGE:
            path.rename(_former(path))


def read(path: Path, seconds: float) -> AccessLog:
    """Return the lines of the last `seconds`, or of less: nothing where the log is missing.

    The former file is read too, because workers that shut down still write it.
    """
    since = time.time() - seconds
    try:
        with path.open("rb") as file:
            own = os.fstat(file.fileno())
            lines, first = _tail(file, since)
    except FileNotFoundError:
        return AccessLog((), since=time.time(), until=time.time())
    with suppress(FileNotFoundError), _former(path).open("rb") as file:
        there = os.fstat(file.fileno())
        if there.st_mtime >= since and not os.path.samestat(own, there):
            more, second = _tail(file, since)
            lines, first = lines + more, max(first, second)
    return AccessLog(tuple(lines), since=first, until=time.time())


def _tail(file: BinaryIO, since: float) -> tuple[list[str], float]:
    """Return the last whole lines, and the time from which on they are all lines: `since`, or later."""
    lines: list[str] = []
    for most in _PARTS:
        start = max(0, file.seek(0, os.SEEK_END) - most)
        file.seek(start)
        lines = file.read(most).decode("utf-8", "replace").split("\n")[1 if start else 0 : -1]
        oldest = next((at for line in lines if (at := moment(line)) is not None), None)
        if not start or (oldest is not None and oldest < since):
            return lines, since
    return lines, first_second(lines, otherwise=time.time())


def _former(path: Path) -> Path:
    return path.with_name(f"{path.name}.1")

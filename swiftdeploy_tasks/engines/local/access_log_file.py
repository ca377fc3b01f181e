"""Reads the last seconds of nginx's access log from its file, and rotates that file once it is large."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from swiftdeploy_tasks.engines.protocol import ACCESS_BYTES
from swiftdeploy_tasks.metrics import AccessLog, first_whole_second, second_of

# The size from which the log is rotated: more than a read covers, so a read needs one rotated file at most.
LARGE = 3 * ACCESS_BYTES
_PARTS = (ACCESS_BYTES // 16, ACCESS_BYTES // 8, ACCESS_BYTES // 4, ACCESS_BYTES)


def rotate(path: Path) -> None:
    """Rename a large log to `access.log.1`; nginx must open its log again afterwards."""
    with suppress(OSError):
        if path.stat().st_size > LARGE:
            path.rename(_rotated(path))


def read(path: Path, seconds: float) -> AccessLog:
    """Return the lines of the last `seconds`, fewer where a bound is reached, none where the log is missing.

    The rotated file is read too, because workers that shut down still write it.
    """
    since = time.time() - seconds
    try:
        with path.open("rb") as file:
            current = os.fstat(file.fileno())
            lines, first = _tail(file, since)
    except FileNotFoundError:
        return AccessLog((), since=time.time(), until=time.time())
    with suppress(FileNotFoundError), _rotated(path).open("rb") as file:
        rotated = os.fstat(file.fileno())
        if rotated.st_mtime >= since and not os.path.samestat(current, rotated):
            more, second = _tail(file, since)
            lines, first = lines + more, max(first, second)
    return AccessLog(tuple(lines), since=first, until=time.time())


def _tail(file: BinaryIO, since: float) -> tuple[list[str], float]:
    """Return the last whole lines, and from when on they are complete: `since` or later."""
    lines: list[str] = []
    for most in _PARTS:
        start = max(0, file.seek(0, os.SEEK_END) - most)
        file.seek(start)
        lines = file.read(most).decode("utf-8", "replace").split("\n")[1 if start else 0 : -1]
        oldest = next((at for line in lines if (at := second_of(line)) is not None), None)
        if not start or (oldest is not None and oldest < since):
            return lines, since
    return lines, first_whole_second(lines, otherwise=time.time())


def _rotated(path: Path) -> Path:
    return path.with_name(f"{path.name}.1")

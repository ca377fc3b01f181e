"""Reads lines from either end of a file in bounded memory.

A line may be endless, torn, or no text. Only regular files are read.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from swiftdeploy_tasks.history import chain
from swiftdeploy_tasks.history.chain import MAX_LINE, Line

CHUNK = 1 << 16


@contextmanager
def opened(path: Path, flags: int = os.O_RDONLY) -> Iterator[int]:
    """The descriptor of a regular file, a link followed; opening never waits. Raises OSError."""
    fd = os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise OSError(errno.EINVAL, "not a regular file", str(path))
        yield fd
    finally:
        os.close(fd)


def forwards(file: IO[bytes], path: Path, size: int | None = None) -> Iterator[Line]:
    """Each line of `file`, of its first `size` bytes where that is given; `path` is its name."""
    number, left = 0, size if size is not None else 1 << 62
    while raw := file.readline(min(left, MAX_LINE + 2)):
        number += 1
        line = chain.parse(raw, number, path)
        if not line.terminated and line.size > MAX_LINE:
            line = _overlong(file, raw, left, line)
        left -= line.size + line.terminated
        yield line


def before(fd: int, end: int) -> tuple[int, Line]:
    """The line that ends at byte `end`, after the byte where it starts."""
    start = _start_of_line(fd, end)
    if end - start <= MAX_LINE + 1:
        return start, chain.parse(os.pread(fd, end - start, start))
    terminated = os.pread(fd, 1, end - 1) == b"\n"
    size = end - start - terminated
    digest = hashlib.sha256()
    for chunk in chunks(fd, start, start + size):
        digest.update(chunk)
    return start, Line(0, None, chain.TOO_LONG, size, digest.hexdigest(), terminated)


def chunks(fd: int, start: int, end: int) -> Iterator[bytes]:
    """The bytes from `start` to `end`, a part at a time."""
    for at in range(start, end, CHUNK):
        yield os.pread(fd, min(CHUNK, end - at), at)


def append(fd: int, data: bytes) -> None:
    """Write all of `data` at the end of the file or nothing of it; raises OSError."""
    size = os.fstat(fd).st_size
    if os.write(fd, data) == len(data):
        return
    # A disk that fills up takes half a line. It was never acknowledged, so it is taken back.
    with suppress(OSError):
        os.ftruncate(fd, size)
    raise OSError(errno.ENOSPC, "no room for a whole record")


def _start_of_line(fd: int, end: int) -> int:
    # The line's own newline, the byte before `end`, does not count.
    stop = end - 1
    while stop > 0:
        start = max(0, stop - CHUNK)
        found = os.pread(fd, stop - start, start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        stop = start
    return 0


def _overlong(file: IO[bytes], first: bytes, left: int, line: Line) -> Line:
    digest, size, raw = hashlib.sha256(first), len(first), first
    while not raw.endswith(b"\n") and (raw := file.readline(min(left - size, CHUNK))):
        digest.update(raw.removesuffix(b"\n"))
        size += len(raw)
    terminated = raw.endswith(b"\n")
    return line._replace(size=size - terminated, digest=digest.hexdigest(), terminated=terminated)

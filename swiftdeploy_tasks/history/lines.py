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
from swiftdeploy_tasks.history.chain import MAX_LINE, MIN_RECORD, MOST_TORN, Head, Line

CHUNK = 1 << 16
# How many places that name a hash are looked at for the line of its record.
MOST_NAMED = 100


@contextmanager
def opened(path: Path, flags: int = os.O_RDONLY) -> Iterator[int]:
    """The descriptor of a regular file, a link followed; it never waits. Raises OSError."""
    fd = os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise OSError(errno.EINVAL, "not a regular file", str(path))
        yield fd
    finally:
        os.close(fd)


def of(file: IO[bytes], path: Path, left: int) -> Iterator[Line]:
    """Each line of the first `left` bytes of `file`, which stands at its beginning and is called `path`.

    After more lines in a row that are no records than anything can excuse, those that are too short to be one
    are passed over, and only counted.
    """
    number = bad = 0
    while raw := file.readline(min(left, MAX_LINE + 2)):
        number += 1
        if bad > MOST_TORN and len(raw) < MIN_RECORD:
            left -= len(raw)
            continue
        line = chain.parse(raw, number, path)
        if not line.terminated and line.size > MAX_LINE:
            line = _overlong(file, raw, left, line)
        left -= line.size + line.terminated
        bad = 0 if line.record else bad + 1
        yield line


def before(fd: int, end: int) -> tuple[int, Line]:
    """Where the line that ends at byte `end` starts, and what it says."""
    start = _start_of_line(fd, end)
    if end - start <= MAX_LINE + 1:
        return start, chain.parse(os.pread(fd, end - start, start))
    terminated = os.pread(fd, 1, end - 1) == b"\n"
    digest = hashlib.sha256()
    for chunk in chunks(fd, start, end - terminated):
        digest.update(chunk)
    size = end - start - terminated
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
    # A disk that fills up takes half a line; it was never acknowledged, so take back our own bytes.
    with suppress(OSError):
        os.ftruncate(fd, size)
    raise OSError(errno.ENOSPC, "no room for a whole record")


def end_of(fd: int, head: Head) -> int | None:
    """Return where the line of the head's record ends, sought from the file's end, or None.

    Only lines that name the hash are read as records, and MOST_NAMED of them at most.
    """
    needle = head.hash.encode()
    stop, size = os.fstat(fd).st_size, os.fstat(fd).st_size
    for _ in range(MOST_NAMED):
        found = _last(fd, needle, stop)
        if found is None:
            return None
        end = _end_of_line(fd, found, size)
        record = before(fd, end)[1].record
        if record and Head.of(record) == head:
            return end
        stop = found
    return None


def _last(fd: int, needle: bytes, stop: int) -> int | None:
    """Return the last place before `stop` where `needle` begins."""
    while stop > 0:
        start = max(0, stop - CHUNK)
        found = os.pread(fd, stop - start + len(needle) - 1, start).rfind(needle)
        if found >= 0:
            return start + found
        stop = start
    return None


def _end_of_line(fd: int, at: int, size: int) -> int:
    """Return the byte after the newline that follows `at`, or `size` where none does."""
    for start in range(at, size, CHUNK):
        found = os.pread(fd, min(CHUNK, size - start), start).find(b"\n")
        if found >= 0:
            return start + found + 1
    return size


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

"""The process table of this host, read from /proc.

One change reads it some twenty times, so only what identifies a process is read: three small files each. A
process that ends while it is read is left out; a zombie counts as ended.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Set
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property

from swiftdeploy_tasks.system import environ

STOPPED = "T"
_ENDED = frozenset((b"Z", b"X", b"x"))
_CHUNK = 1 << 16
# The real, the effective and the saved user.
_STATUS = re.compile(
    rb"^State:\s+(?P<status>\S).*?^PPid:\s+(?P<parent>\d+).*?^Uid:\s+(?P<uids>\d+\s+\d+\s+\d+)", re.M | re.S
)


@dataclass(frozen=True)
class Row:
    """One process: `status` is the kernel's letter, `raw` its environment as it was started."""

    pid: int
    parent: int
    status: str
    raw: bytes

    @cached_property
    def environment(self) -> dict[str, str]:
        """The variables, none for a process that hides them from its own user."""
        pairs = (line.partition(b"=") for line in self.raw.split(b"\0") if b"=" in line)
        return {environ.decoded(name): environ.decoded(value) for name, _, value in pairs}

    def value(self, name: str, default: str = "") -> str:
        """Return one variable, without taking the others apart."""
        return self.environment.get(name, default) if f"{name}=".encode() in self.raw else default


def rows(also: Set[int] = frozenset()) -> Iterator[Row]:
    """Yield every process of this user, and those `also` named under any user, that has not ended."""
    user = str(os.getuid()).encode()
    for pid in pids():
        # ProcessLookupError where it ends between two reads.
        with suppress(OSError):
            found = _STATUS.search(_read(pid, "status"))
            if found is None or found["status"] in _ENDED:
                continue
            if pid in also or set(found["uids"].split()) == {user}:
                yield Row(pid, int(found["parent"]), found["status"].decode(), _environment(pid))


def titles() -> Iterator[tuple[int, str]]:
    """Yield the pid and the command line of every process; a zombie has none."""
    for pid in pids():
        with suppress(OSError):
            yield pid, environ.decoded(_read(pid, "cmdline").rstrip(b"\0").replace(b"\0", b" "))


def children(parent: int) -> Iterator[int]:
    """Yield the pid of each child that has not ended, of any user."""
    for pid in pids():
        with suppress(OSError):
            found = _STATUS.search(_read(pid, "status"))
            if found and int(found["parent"]) == parent and found["status"] not in _ENDED:
                yield pid


def pids() -> list[int]:
    """Return every pid that this process can see."""
    with os.scandir("/proc") as entries:
        return [int(entry.name) for entry in entries if entry.name.isdecimal()]


def _environment(pid: int) -> bytes:
    with suppress(PermissionError):
        return _read(pid, "environ")
    return b""


def _read(pid: int, name: str) -> bytes:
    file = os.open(f"/proc/{pid}/{name}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        content = os.read(file, _CHUNK)
        while len(content) % _CHUNK == 0 and (more := os.read(file, _CHUNK)):
            content += more
        return content
    finally:
        os.close(file)

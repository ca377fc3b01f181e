"""The witness: a file on another disk or share to which each new head is appended.

It may be missing, slow, or another program's file; that never prevents a record. A file that is not a list of
heads is not written to.
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from swiftdeploy_tasks.history import lines
from swiftdeploy_tasks.history.chain import Head
from swiftdeploy_tasks.history.head_file import head_from

# The newest head covers all before it, so old ones may go: at this size the file becomes `.old`.
MAX_BYTES = 10_000_000
_BEGIN = b'{"hash":"'


@dataclass(frozen=True)
class Witnessed:
    """What a witness says of the history: its hashes by seq, and the newest head that it has.

    `contradicts` is what it knows otherwise, which counts against the history; `problem`, why it cannot be
    read or lacks the newest heads, does not. `agrees` is the seq of the newest record of which it has the
    same hash, 0 where there is none.
    """

    path: Path
    claims: dict[int, str] = field(default_factory=dict)
    last: Head | None = None
    contradicts: str = ""
    problem: str = ""
    agrees: int = 0

    def compared(self, head: Head | None, *, denied: str, agrees: int) -> Witnessed:
        """The same after the history with this head was compared with it."""
        behind = (head.seq if head else 0) - (self.last.seq if self.last else 0)
        problem = self.problem or (f"it lacks the last {behind} heads" if behind > 0 else "")
        return replace(self, contradicts=self.contradicts or denied, problem=problem, agrees=agrees)


def append(path: Path, head: Head, time: str, *, history: Path, state: Path) -> None:
    """Append one head, in one write, on a line of its own; raises OSError.

    It is not synced, as a witness guards against people and not against a power cut. `history` is the file
    that is witnessed, `state` the folder with its head.
    """
    if unfit := _unfit(path, history, state):
        raise OSError(errno.EINVAL, unfit, str(path))
    with suppress(FileNotFoundError):
        if path.stat().st_size >= MAX_BYTES:
            for file in (path, _old(path)):
                _refuse_other_content(file)
            path.replace(_old(path))
    line = b'%s%s","seq":%d,"time":"%s"}\n' % (_BEGIN, head.hash.encode(), head.seq, time.encode())
    with lines.opened(path, os.O_RDWR | os.O_APPEND | os.O_CREAT) as fd:
        size = os.fstat(fd).st_size
        _refuse_other_content(path)
        if size and os.pread(fd, 1, size - 1) != b"\n":
            line = b"\n" + line
        lines.append(fd, line)


def _refuse_other_content(path: Path) -> None:
    """Raise OSError where the file exists, is not empty and does not begin with a head."""
    with suppress(FileNotFoundError), lines.opened(path) as fd:
        if os.pread(fd, len(_BEGIN), 0) not in (b"", _BEGIN):
            raise OSError(errno.EINVAL, "its content is not a list of heads", str(path))


def _unfit(path: Path, history: Path, state: Path) -> str:
    """Why this file can be no witness of that history; "" where it can."""
    real, home, itself = (Path(os.path.realpath(one)) for one in (path, state, history))
    if real.is_relative_to(home):
        return f"it lies in {state}, with the head that it should witness"
    with suppress(OSError):
        if real == itself or real.samefile(itself):
            return "it is the history itself"
    return ""


def read(path: Path, *, history: Path, state: Path) -> Witnessed:
    """Read the witness; never raises. A line that is no head is passed over and counted."""
    if unfit := _unfit(path, history, state):
        return Witnessed(path, problem=f"it cannot be the witness: {unfit}")
    claims: dict[int, str] = {}
    last, odd, contradicts = None, 0, ""
    try:
        for text in _texts(path):
            head = head_from(text)
            if head is None:
                odd += 1
                continue
            if claims.setdefault(head.seq, head.hash) != head.hash:
                contradicts = contradicts or f"it has two hashes for record {head.seq}"
                # No hash of the history agrees with two.
                claims[head.seq] = ""
            last = head
    except OSError as error:
        return Witnessed(path, problem=f"it cannot be read: {error.strerror}")
    problem = f"{odd} of its lines are not heads" if odd else ""
    return Witnessed(path, claims, last, contradicts, problem)


def _old(path: Path) -> Path:
    return path.with_name(f"{path.name}.old")


def _texts(path: Path) -> list[bytes]:
    found: list[bytes] = []
    for file in (_old(path), path):
        if file != path and not file.exists():
            continue
        with lines.opened(file) as fd:
            size = os.fstat(fd).st_size
            start = max(0, size - 2 * MAX_BYTES)
            content = b"".join(lines.chunks(fd, start, size))
            found += content.splitlines()[1 if start else 0 :]
    return found

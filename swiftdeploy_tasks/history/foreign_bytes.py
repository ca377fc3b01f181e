"""Counts the bytes of the history file that other programs appended.

Another program can append half lines, other text, and one record past the head that our next append takes
over. Such bytes stay in the file. Their number is kept in the state folder and does not count for
`history.max_bytes`, so they cause no record to be dropped.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from swiftdeploy_tasks.history import lines
from swiftdeploy_tasks.history.chain import Head
from swiftdeploy_tasks.system import files


@dataclass(frozen=True)
class ForeignBytes:
    """How many of the first `upto` bytes of the present file other programs appended.

    `adopted` is the seq of the newest record that was taken over from past the head, 0 where none was.
    """

    bytes: int = 0
    upto: int = 0
    adopted: int = 0

    def own(self, size: int) -> int:
        """Return how many bytes of a file of this size are ours."""
        return size - self.bytes if size >= self.upto else size

    def recounted(self, fd: int, head: Head) -> ForeignBytes:
        """Return the count with all bytes after the head's line added; without that line all are foreign."""
        size = os.fstat(fd).st_size
        end = lines.end_of(fd, head)
        if end is None:
            return ForeignBytes(size, size, self.adopted)
        known = self if size >= self.upto else ForeignBytes()
        return ForeignBytes(known.bytes + size - max(end, known.upto), size, self.adopted)


def read(path: Path) -> ForeignBytes:
    """Return the count that is kept in this file; zero where it cannot be read."""
    with suppress(OSError, ValueError, TypeError, KeyError):
        found = json.loads(path.read_bytes())
        return ForeignBytes(int(found["bytes"]), int(found["upto"]), int(found["adopted"]))
    return ForeignBytes()


def keep(path: Path, count: ForeignBytes) -> None:
    """Write the count, unless it is there already; raises OSError."""
    if count != read(path):
        files.replace(path, json.dumps(asdict(count)), mode=0o600)

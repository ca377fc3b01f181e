"""A consistent view of all history files at one moment.

Writers append, rotate and drop files while a reader works. The files are held open, so each record is read
once.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from itertools import islice
from pathlib import Path
from types import TracebackType

from swiftdeploy_tasks.history import chain, lines, rotation
from swiftdeploy_tasks.history.chain import HEAD_LOST, MAX_LINE, ROTATED, Head, Line, Record, announced


class Snapshot:
    """The files of one history as they are when this is made, which is to be while nobody writes.

    `path` is history.jsonl, `folder` that of the rotated files, `head` the one that was read with them.
    Raises OSError where one cannot be read, or is no regular file.
    """

    def __init__(self, path: Path, folder: Path, head: Head | None) -> None:
        self.path, self.folder, self.head = path, folder, head
        self.numbers = rotation.numbered(folder)
        self._held = ExitStack()
        full = rotation.aside(path)
        try:
            self._parts = [part for file in (full, path) if (part := self._open(file)) is not None]
            newest = folder / rotation.name_of(self.numbers[-1]) if self.numbers else None
            if newest and self._parts and self._parts[0][0] == full and rotation.holds(newest, full):
                del self._parts[0]
        except BaseException:
            self._held.close()
            raise

    def __enter__(self) -> Snapshot:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let the files go."""
        self._held.close()

    def _open(self, path: Path) -> tuple[Path, int, int] | None:
        with suppress(FileNotFoundError):
            fd = self._held.enter_context(lines.opened(path))
            return path, fd, os.fstat(fd).st_size
        return None

    @property
    def before(self) -> Path | None:
        """The file that should stand before the oldest one; None where that is the first."""
        first = self.numbers[0] if self.numbers else 1
        return self.folder / rotation.name_of(first - 1) if first > 1 else None

    def lines(self, *, passing_over: bool = False) -> Iterator[Line]:
        """Each line, oldest first; a file that is gone from among them is one line that says so.

        Raises FileNotFoundError where a rotated file was removed since, unless those are passed over.
        """
        due = 0
        for number in self.numbers:
            if due and number > due:
                yield self._gone(due)
            due = number + 1
            with suppress(*([FileNotFoundError] if passing_over else [])):
                yield from rotation.read(self.folder / rotation.name_of(number))
        yield from self._gone_last()
        for path, fd, size in self._parts:
            yield from _lines(path, fd, size)

    def fronts(self, count: int) -> Iterator[Line]:
        """The first lines of each file, up to `count` of each, the newest file first."""
        for path, fd, size in reversed(self._parts):
            yield from islice(_lines(path, fd, size), count)
        for number in reversed(self.numbers):
            yield from islice(rotation.read(self.folder / rotation.name_of(number)), count)

    def newest_first(self) -> Iterator[Record]:
        """Each record that proves itself, newest first."""
        return (line.record for line in self._backwards() if line.record)

    def linked(self) -> Iterator[Record]:
        """Each record that leads up to the head, newest first, down to the first break.

        A line past the head is passed over where a crash may have left it. A break is a record that is not
        the one due, a line that is no record and that the record after it does not close off, or a lost head.
        """
        due, excused, is_begun = self.head, 2, False
        for line in self._backwards() if due else ():
            record = line.record
            if record is None or Head.of(record) != due:
                excused -= 1
                if excused < 0 or (record and is_begun):
                    return
                continue
            yield record
            if record["event"] == HEAD_LOST:
                return
            due, excused, is_begun = Head(record["seq"] - 1, record["prev"]), len(announced(record)), True

    def _backwards(self) -> Iterator[Line]:
        for _, fd, size in reversed(self._parts):
            yield from _from_end(fd, size)
        for number in reversed(self.numbers):
            with suppress(FileNotFoundError):
                yield from _unpacked_from_end(self.folder / rotation.name_of(number))

    def _gone_last(self) -> Iterator[Line]:
        """The newest rotated file is gone where history.jsonl begins by naming one that is not there."""
        last = self.numbers[-1] if self.numbers else 0
        first = self._first_record() if len(self._parts) == 1 else {}
        named = rotation.number_of(first.get("file")) if first.get("event") == ROTATED else 0
        if named > last:
            yield self._gone(last + 1 if last else named)

    def _first_record(self) -> Record:
        _, fd, size = self._parts[0]
        raw = os.pread(fd, min(size, lines.CHUNK), 0)
        return chain.parse(raw[: raw.find(b"\n") + 1]).record or {}

    def _gone(self, number: int) -> Line:
        return rotation.problem(self.folder / rotation.name_of(number), "file gone: its records are missing")


def _lines(path: Path, fd: int, size: int) -> Iterator[Line]:
    with os.fdopen(os.dup(fd), "rb", lines.CHUNK) as file:
        file.seek(0)
        yield from lines.of(file, path, size)


def _from_end(fd: int, end: int) -> Iterator[Line]:
    """The lines of a file from its end."""
    while end > 0:
        end, line = lines.before(fd, end)
        yield line


def _unpacked_from_end(path: Path) -> Iterator[Line]:
    """The lines of a rotated file from its end: unpacked whole, and each read when it is due."""
    held: list[bytes] = []
    with suppress(rotation.Damaged), rotation.unpacked(path) as file:
        while raw := file.readline(MAX_LINE + 2):
            held.append(raw)
    while held:
        yield chain.parse(held.pop())

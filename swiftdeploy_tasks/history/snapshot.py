"""A consistent view of all history files at one moment.

Writers append, rotate and drop files while a reader works. The files are held open, so each record is read
once.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from itertools import islice, pairwise
from pathlib import Path

from swiftdeploy_tasks.history import chain, lines, rotation
from swiftdeploy_tasks.history.chain import HEAD_LOST, MAX_LINE, Head, Line, Record, closed_off_by


class Snapshot:
    """The files of one history when this is made, while no other process writes; its user closes it.

    `path` is history.jsonl, `folder` that of the rotated files. Raises OSError where one cannot be read.
    """

    def __init__(self, path: Path, folder: Path) -> None:
        self.folder, self.numbers = folder, rotation.numbered(folder)
        with ExitStack() as held:
            full = rotation.full_file(path)
            self._open_files = [found for file in (full, path) if (found := _open(file, held))]
            newest = rotation.path_of(folder, self.numbers[-1]) if self.numbers else None
            if newest and full.exists() and rotation.is_archive_of(newest, full):
                # A crash left the full file beside the compressed one.
                del self._open_files[0]
            self._held = held.pop_all()

    def close(self) -> None:
        """Close the files."""
        self._held.close()

    @property
    def file_before(self) -> Path | None:
        """The rotated file that comes before the oldest one; None where that is the first."""
        first = self.numbers[0] if self.numbers else 1
        return rotation.path_of(self.folder, first - 1) if first > 1 else None

    def lines(self, *, passing_over: bool = False) -> Iterator[Line]:
        """Each line, oldest first; a file that is missing between two others is one line that says so.

        Raises FileNotFoundError where a rotated file was dropped since, unless those are passed over.
        """
        for number, next_number in pairwise([*self.numbers, 0]):
            with suppress(*([FileNotFoundError] if passing_over else [])):
                yield from rotation.read(rotation.path_of(self.folder, number))
            if next_number > number + 1:
                yield rotation.problem(rotation.path_of(self.folder, number + 1), "the file is gone")
        for path, fd, size in self._open_files:
            yield from _forwards(path, fd, size)

    def first_lines(self, count: int) -> Iterator[Line]:
        """The first lines of each file, up to `count` of each, the newest file first."""
        for path, fd, size in reversed(self._open_files):
            yield from islice(_forwards(path, fd, size), count)
        for number in reversed(self.numbers):
            yield from islice(rotation.read(rotation.path_of(self.folder, number)), count)

    def newest_first(self) -> Iterator[Line]:
        """Each line, newest first, without its file and number."""
        for _, fd, size in reversed(self._open_files):
            end = size
            while end > 0:
                end, line = lines.before(fd, end)
                yield line
        for number in reversed(self.numbers):
            with suppress(FileNotFoundError):
                yield from _backwards(rotation.path_of(self.folder, number))

    def linked(self, head: Head) -> Iterator[Record]:
        """Each record that is linked to the head, newest first, up to the first break.

        Up to two lines past the head are passed over, as a crash may have left them. A break is a record that
        is not the one due, a line that is no record and that the record after it does not close off, or a
        lost head.
        """
        due, excused, has_begun = head, 2, False
        for line in self.newest_first():
            record = line.record
            if record is None or Head.of(record) != due:
                excused -= 1
                if excused < 0 or (record and has_begun):
                    return
                continue
            yield record
            if record["event"] == HEAD_LOST:
                return
            due, has_begun = Head(record["seq"] - 1, record["prev"]), True
            excused = len(closed_off_by(record))


def _open(path: Path, held: ExitStack) -> tuple[Path, int, int] | None:
    with suppress(FileNotFoundError):
        fd = held.enter_context(lines.opened(path))
        return path, fd, os.fstat(fd).st_size
    return None


def _forwards(path: Path, fd: int, size: int) -> Iterator[Line]:
    with os.fdopen(os.dup(fd), "rb", lines.CHUNK) as file:
        file.seek(0)
        yield from lines.forwards(file, path, size)


def _backwards(path: Path) -> Iterator[Line]:
    """The lines of a rotated file from its end; it is unpacked whole, and each line is parsed when due."""
    held: list[bytes] = []
    with suppress(rotation.Damaged), rotation.unpacked(path) as file:
        while raw := file.readline(MAX_LINE + 2):
            held.append(raw)
    while held:
        yield chain.parse(held.pop())

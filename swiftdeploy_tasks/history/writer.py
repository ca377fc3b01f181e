"""Appends records on the head, adopts or closes off what a crash left behind, and rotates a full file."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

from swiftdeploy_tasks.errors import HistoryError
from swiftdeploy_tasks.history import chain, head_file, lines, rotation, verification, witness
from swiftdeploy_tasks.history.chain import GENESIS, MAX_LINE, Head, Line, Record
from swiftdeploy_tasks.history.head_file import HeadFile
from swiftdeploy_tasks.history.links import is_adoptable
from swiftdeploy_tasks.history.snapshot import Snapshot
from swiftdeploy_tasks.manifest.model import HistoryLimits
from swiftdeploy_tasks.system import files

# How many files are dropped at one rotation: enough to come down after `keep` was lowered, and bounded while
# other processes wait.
DROPS = 2
# How many torn lines one record closes off: each crash while a line is closed off leaves one more.
CLOSED_OFF = 10
_WRITE = os.O_RDWR | os.O_APPEND | os.O_CREAT


class Writer:
    """Appends one record of a task; made and used by the process that holds the history's lock.

    `by` are the fields that name the task and its run, `say` takes a sentence for the user.
    """

    def __init__(
        self, path: Path, state: Path, limits: HistoryLimits, say: Callable[[str], None], by: Record
    ) -> None:
        self.path, self.state, self.limits, self.say, self.by = path, state, limits, say, by
        self.folder = state / rotation.FOLDER
        self.kept = head_file.read(state)

    def append(self, content: Record) -> Record:
        """Write one record and return it; it is on disk then. Raises OSError, HistoryError."""
        self._finish_rotation()
        self._catch_up()
        if self._is_full():
            self._rotate()
        record = self._put(content)
        if self.limits.witness:
            self._update_witness(record, Path(self.limits.witness))
        return record

    def _catch_up(self) -> None:
        """Adopt or close off what a crash left behind the head, and record a loss of the head."""
        head = self.kept.head
        with lines.opened(self.path, _WRITE) as fd:
            if head is None and not os.fstat(fd).st_size and not rotation.numbered(self.folder):
                # With a head on disk before the first line, a missing one is always a loss and never a crash.
                self._save(HeadFile(GENESIS))
                return
            torn, last = self._tail(fd)
            if last and last.record:
                self._adopt(fd, last, last.record)
        if head is None:
            self.kept = HeadFile(self._last_head())
        if torn or head is None:
            event = chain.TORN if head else chain.HEAD_LOST
            closed = [{"bytes": line.size, "sha256": line.digest} for line in torn]
            # This record grows with the lines that it closes off, so its bytes do not count as ours.
            self._put({"event": event, "torn": closed}, is_own=False)

    def _tail(self, fd: int) -> tuple[list[Line], Line | None]:
        """The torn lines at the file's end, oldest first, and the last line before them."""
        torn: list[Line] = []
        head, end = self.kept.head, os.fstat(fd).st_size
        while end > 0:
            start, line = lines.before(fd, end)
            is_whole = line.record and (line.terminated or head is None or head.precedes(line.record))
            # A crash while a torn line is closed off can end it with a newline; then its copy shows it.
            is_torn = not line.terminated or self._copy_of(line).exists()
            if is_whole or not is_torn or len(torn) == CLOSED_OFF:
                return torn, line
            if not line.terminated:
                self._copy(fd, start, line)
            torn.insert(0, line)
            end = start
        return torn, None

    def _copy_of(self, line: Line) -> Path:
        return self.state / "torn" / line.digest

    def _copy(self, fd: int, start: int, line: Line) -> None:
        path = self._copy_of(line)
        files.make_folder(path.parent)
        with lines.opened(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC) as copy:
            with os.fdopen(copy, "wb", closefd=False) as out:
                out.writelines(lines.chunks(fd, start, start + line.size))
            os.fsync(copy)
        files.sync_folder(path.parent)

    def _adopt(self, fd: int, line: Line, record: Record) -> None:
        """Adopt the line where a crash between it and its head left it."""
        if not (is_adoptable(record, self.kept.head) and self._is_right_about_drop(record)):
            return
        if not line.terminated:
            lines.append(fd, b"\n")
        os.fsync(fd)
        self._save(HeadFile(Head.of(record), self.kept.own, adopted=record["seq"]))

    def _is_right_about_drop(self, record: Record) -> bool:
        """Whether a record past the head is right where it says that a file is dropped.

        Otherwise an appended line could excuse a history that begins late.
        """
        if record["event"] != chain.DROPPED:
            return True
        pairs = pairwise(rotation.numbered(self.folder))
        pair = next((pair for pair in pairs if rotation.name_of(pair[0]) == record.get("file")), None)
        dropped = self._droppable(*pair) if pair else None
        return dropped is not None and dropped.items() <= record.items()

    def _last_head(self) -> Head:
        """The head that names the last record of the files."""
        with closing(Snapshot(self.path, self.folder)) as seen:
            return next((Head.of(line.record) for line in seen.newest_first() if line.record), GENESIS)

    def _put(self, content: Record, *, is_own: bool = True) -> Record:
        """Write one record after the head, which then names it."""
        assert self.kept.head is not None
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        record = chain.seal({"outcome": None, **self.by, **content}, self.kept.head, now)
        line = chain.line_of(record)
        if len(line) > MAX_LINE:
            message = f"A history record of {len(line)} bytes is over the limit of {MAX_LINE}."
            raise HistoryError(message, "invoke status --once")
        with lines.opened(self.path, _WRITE) as fd:
            size = os.fstat(fd).st_size
            is_cut_off = size > 0 and os.pread(fd, 1, size - 1) != b"\n"
            lines.append(fd, b"\n" + line if is_cut_off else line)
            os.fsync(fd)
        if not size:
            files.sync_folder(self.path.parent)
        own = self._own(size) + (len(line) if is_own else 0)
        self._save(HeadFile(Head.of(record), own, self.kept.adopted))
        return record

    def _own(self, size: int) -> int:
        """How many bytes of a file of this size are ours."""
        return size if self.kept.own is None else min(self.kept.own, size)

    def _save(self, kept: HeadFile) -> None:
        head_file.write(self.state, kept)
        self.kept = kept

    def _is_full(self) -> bool:
        return self._own(self.path.stat().st_size) >= self.limits.max_bytes

    def _rotate(self) -> None:
        """Move the full file aside, compress it and begin a new one; where that fails it grows on."""
        real, full = Path(os.path.realpath(self.path)), rotation.full_file(self.path)
        if full.exists():
            return
        with self._growing_on():
            real.rename(full)
            files.sync_folder(real.parent)
            rotation.archive(full, self.folder)
        if not (real.exists() or full.exists()):
            self._begin_file()

    def _finish_rotation(self) -> None:
        """Compress the full file that an interrupted rotation left."""
        full = rotation.full_file(self.path)
        if full.exists():
            with self._growing_on():
                rotation.archive(full, self.folder)

    @contextmanager
    def _growing_on(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            with suppress(OSError):
                real = Path(os.path.realpath(self.path))
                rotation.restore(rotation.full_file(self.path), real, self.folder)
            place, why = error.filename or self.folder, error.strerror
            self.say(f"the history cannot be rotated and keeps growing: {place}: {why}")

    def _begin_file(self) -> None:
        """Record which file the new one follows, and drop the oldest beyond `history.keep`."""
        assert self.kept.head is not None
        numbers = rotation.numbered(self.folder)
        follows = {"file": rotation.name_of(numbers[-1]), "last": self.kept.head.seq}
        self._put({"event": chain.ROTATED, **follows})
        drops = min(DROPS, max(0, len(numbers) - self.limits.keep))
        for number, next_number in pairwise(numbers[: drops + 1]):
            dropped = self._droppable(number, next_number)
            if dropped is None:
                return
            self._put({"event": chain.DROPPED, **dropped})
            with self._growing_on():
                rotation.path_of(self.folder, number).unlink()
                files.sync_folder(self.folder)

    def _droppable(self, number: int, next_number: int) -> Record | None:
        """The fields of a record that says that a rotated file was dropped; None where it does not verify.

        Such a file stays: without it, a broken history would look whole.
        """
        path, next_path = (rotation.path_of(self.folder, one) for one in (number, next_number))
        ends = verification.ends_of(rotation.read(path))
        following = next(rotation.read(next_path), None)
        if not (ends and following and following.record and ends[1].precedes(following.record)):
            return None
        start, end = ends
        if start != GENESIS and not self._was_dropped(start):
            return None
        return {"file": path.name, "first": start.seq + 1, "last": end.seq, "last_hash": end.hash}

    def _was_dropped(self, end: Head) -> bool:
        """Whether a record at the front of a file says that a file with this end was dropped."""
        with closing(Snapshot(self.path, self.folder)) as seen:
            records = (line.record for line in seen.first_lines(1 + DROPS))
            return any(record and chain.dropped_by(record) == end for record in records)

    def _update_witness(self, record: Record, path: Path) -> None:
        """Append the head to the witness; that this fails, or works again, is recorded once and said."""
        marked = self.state / "witness-failed"
        content = {"event": chain.WITNESS, "file": str(self.limits.witness)}
        with suppress(HistoryError, OSError):
            try:
                witness.append(path, Head.of(record), record["time"], history=self.path, state=self.state)
            except OSError as error:
                self.say(f"the head cannot be appended to the witness {path}: {error.strerror}")
                if not marked.exists():
                    marked.touch(0o600)
                    self._put({**content, "outcome": "failed", "error": error.strerror})
            else:
                if marked.exists():
                    marked.unlink()
                    self._put({**content, "outcome": "restored"})

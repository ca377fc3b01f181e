"""Appends records to history.jsonl, and keeps its rotated files and its head.

A record that was returned is on disk, and two processes cannot fork the chain. What a crash left behind is
kept and reported. A broken history does not stop an append, and a file that does not verify is not dropped.
"""

from __future__ import annotations

import errno
import functools
import json
import os
import shlex
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

from swiftdeploy_tasks.errors import HistoryError
from swiftdeploy_tasks.history import chain, file_lock, foreign_bytes, lines, proof, rotation, witness
from swiftdeploy_tasks.history.chain import GENESIS, MAX_LINE, Head, Line, Record, Verification, Witnessed
from swiftdeploy_tasks.history.foreign_bytes import ForeignBytes
from swiftdeploy_tasks.history.snapshot import Snapshot
from swiftdeploy_tasks.history.verification import is_vouched
from swiftdeploy_tasks.manifest.loading import history_limits
from swiftdeploy_tasks.manifest.model import HistoryLimits
from swiftdeploy_tasks.settings import Settings
from swiftdeploy_tasks.system import files

# How many files are dropped at one rotation: enough to come down after `keep` was lowered, and bounded while
# others wait.
DROPS = 2
# How often a verification restarts because a file was dropped under it.
TRIES = 5

Through = Callable[[Iterator[Line]], Iterator[Line]]


@dataclass(frozen=True)
class History:
    """The history of one project: `path` is its `history.jsonl`, `state` the folder that keeps its head.

    `limits.witness` is an absolute path here. `say` is told, in one sentence, what a person should know and
    what stops nothing.
    """

    path: Path
    state: Path
    limits: HistoryLimits = field(default_factory=HistoryLimits)
    say: Callable[[str], None] = field(default=lambda _: None, compare=False, repr=False)

    def append(self, event: str, task: str, run: str, outcome: str | None = None, **fields: Any) -> Record:
        """Write one record and return it as it stands in the file; it is on disk when this returns.

        A figure that is not finite becomes null, a lone surrogate a question mark. Raises HistoryError when
        it cannot be written, ValueError for an event or a field that only the chain itself may write.
        """
        if event in chain.OWN or not fields.keys().isdisjoint(chain.CHAINED):
            raise ValueError(f"only the chain writes {', '.join((*chain.OWN, *chain.CHAINED))}")
        by = {"task": task, "run": run}
        content = _as_json({**fields, **by, "event": event, "outcome": outcome})
        with _translated(self.path), self._locked():
            self._end_rotation()
            with lines.opened(self.path, _WRITE) as fd:
                head = self._caught_up(fd, by)
                is_full = self._is_full(fd)
                record = None if is_full else self._put(fd, head, content)
            if record is None:
                self._rotate()
                with lines.opened(self.path, _WRITE) as fd:
                    record = self._put(fd, self._begun(fd, head, by), content)
            self._tell_witness(record, by)
        return record

    def head(self) -> Head | None:
        """The head that the state folder holds; None when there is none that can be read as one."""
        path, content = self._head_path, b""
        with _translated(path), suppress(FileNotFoundError), lines.opened(path) as fd:
            content = os.pread(fd, lines.CHUNK, 0)
        return chain.head_from(content)

    def verify(self, *, through: Through = iter) -> Verification:
        """Judge the history as it stood when asked, while others go on appending. Raises HistoryError.

        Each reading goes through `through`, for who wants to hear the lines of the one that is judged: it may
        be called several times, and a history that is whole was read to its end in the last.
        """
        kept = Path(self.limits.witness) if self.limits.witness else None
        told = witness.read(kept, history=self.path, state=self.state) if kept else None
        left = TRIES
        while True:
            left -= 1
            with suppress(FileNotFoundError) if left else nullcontext(), self._seen() as seen:
                found = proof.check(
                    lambda: through(seen.lines()),
                    seen.head,
                    present=self.path,
                    before=seen.before,
                    claims=told.claims if told else None,
                )
                return replace(found, witness=self._witnessed(told, found))

    def lines(self) -> Iterator[Line]:
        """Each line, oldest first, over all files, in bounded memory, as it stood when asked.

        Each record comes once, whatever others append or rotate meanwhile; a line that is no record, or a
        file that is gone or damaged, comes with what is wrong with it. Raises HistoryError.
        """
        with self._seen() as seen:
            yield from seen.lines(passing_over=True)

    def newest_first(self) -> Generator[Record, None, None]:
        """Each record that proves itself, newest first: for who wants only the last ones, and stops there.

        It costs what is taken of it, up to the lines of one file at once; who stops early closes it, or a
        request to end that comes meanwhile is lost. Raises HistoryError.
        """
        with self._seen() as seen:
            yield from seen.newest_first()

    def proven(self) -> Generator[Record, None, None]:
        """Each record that the head proves and that our own append wrote, newest first.

        It ends at the first break, and at a record that was taken over from past the head: another program
        may have written that one. Close it when stopping early, as with `newest_first`. Raises HistoryError.
        """
        with _translated(self.path), self._snapshot() as seen:
            adopted = foreign_bytes.read(self._foreign_path).adopted
            for record in seen.linked():
                if record["seq"] <= adopted:
                    return
                yield record

    @contextmanager
    def _seen(self) -> Iterator[Snapshot]:
        with _translated(self.path), self._snapshot() as seen:
            yield seen

    def _snapshot(self) -> Snapshot:
        while True:
            was_locked = self._lock.exists()
            with file_lock.taken(self._lock, to_write=False):
                seen = Snapshot(self.path, self._folder, self.head())
            # Without a lock file no record was ever written before this read began.
            if was_locked or not self._lock.exists():
                return seen
            seen.close()

    @property
    def _head_path(self) -> Path:
        return self.state / "head.json"

    @property
    def _foreign_path(self) -> Path:
        return self.state / "foreign.json"

    @property
    def _folder(self) -> Path:
        return self.state / "history"

    @property
    def _lock(self) -> Path:
        return self.state / "history.lock"

    def _locked(self) -> AbstractContextManager[None]:
        return file_lock.taken(self._lock, to_write=True)

    def _caught_up(self, fd: int, by: Record) -> Head:
        """The head to append on, after what a crash or a loss left behind is put on record."""
        head = self.head()
        if head is None and os.fstat(fd).st_size == 0 and not rotation.numbered(self._folder):
            # With a head on disk before the first line, a missing one is always a loss and never a crash.
            self._save(GENESIS)
            return GENESIS
        torn, last = self._tail(fd, head)
        if head and not torn and (last is None or (last.record and Head.of(last.record) == head)):
            return head
        self._count_foreign(fd, head)
        base = self._adopted(fd, head, last) if head else self._last_believed()
        if head and not torn:
            return base
        content = {
            **by,
            "event": chain.TORN if head else chain.HEAD_LOST,
            "outcome": None,
            "torn": [{"bytes": line.size, "sha256": line.digest} for line in torn],
        }
        record = self._put(fd, base, content)
        # The record that closes off torn lines grows with their number, so it does not count as ours either.
        self._count_foreign(fd, head)
        return Head.of(record)

    def _is_full(self, fd: int) -> bool:
        """Whether our own bytes fill the file."""
        size, most = os.fstat(fd).st_size, self.limits.max_bytes
        return size >= most and foreign_bytes.read(self._foreign_path).own(size) >= most

    def _count_foreign(self, fd: int, head: Head | None) -> None:
        """Count the bytes after the head's line, which our own append did not finish."""
        if head:
            foreign_bytes.keep(self._foreign_path, foreign_bytes.read(self._foreign_path).recounted(fd, head))

    def _tail(self, fd: int, head: Head | None) -> tuple[list[Line], Line | None]:
        """The torn lines at the file's end, oldest first, and the last line before them."""
        torn: list[Line] = []
        end = os.fstat(fd).st_size
        while end > 0:
            start, line = lines.before(fd, end)
            whole = line.terminated or head is None or bool(line.record and head.precedes(line.record))
            is_torn = not line.terminated or self._kept(line).exists()
            if (line.record and whole) or not is_torn or len(torn) == chain.CLOSED_OFF:
                return torn, line
            if not line.terminated:
                self._keep(fd, start, line)
            torn.insert(0, line)
            end = start
        return torn, None

    def _kept(self, line: Line) -> Path:
        return self.state / "torn" / line.digest

    def _keep(self, fd: int, start: int, line: Line) -> None:
        path = self._kept(line)
        files.make_folder(path.parent)
        with lines.opened(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC) as kept:
            with os.fdopen(kept, "wb", closefd=False) as out:
                for chunk in lines.chunks(fd, start, start + line.size):
                    out.write(chunk)
            os.fsync(kept)
        files.sync_folder(path.parent)

    def _adopted(self, fd: int, head: Head, last: Line | None) -> Head:
        """`head`, or the one record past it that a crash left between its line and its head."""
        if last is None or last.record is None or not head.precedes(last.record):
            return head
        if not (chain.is_sealed(last.record) and self._is_so(last.record)):
            return head
        if not last.terminated:
            lines.append(fd, b"\n")
        os.fsync(fd)
        count = foreign_bytes.read(self._foreign_path)
        foreign_bytes.keep(self._foreign_path, replace(count, adopted=last.record["seq"]))
        self._save(Head.of(last.record))
        return Head.of(last.record)

    def _is_so(self, record: Record) -> bool:
        """Whether a record that a crash left says what is so: its file is dropped only when it has its head.

        Otherwise an appended line could vouch for any beginning.
        """
        if record["event"] != chain.DROPPED:
            return True
        numbers, number = rotation.numbered(self._folder), rotation.number_of(record.get("file"))
        after = next((later for earlier, later in pairwise(numbers) if earlier == number), 0)
        said = self._droppable(number, after) if after else None
        return said is not None and said.items() <= record.items()

    def _last_believed(self) -> Head:
        with Snapshot(self.path, self._folder, None) as seen:
            last = next(seen.newest_first(), None)
        return Head.of(last) if last else GENESIS

    def _put(self, fd: int, head: Head, content: Record) -> Record:
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        record = chain.seal(content, head, now)
        line = chain.line_of(record)
        if len(line) > MAX_LINE:
            raise HistoryError(
                f"A history record of {len(line)} bytes is over the limit of {MAX_LINE}.",
                "invoke status --once",
            )
        size = os.fstat(fd).st_size
        if size and os.pread(fd, 1, size - 1) != b"\n":
            line = b"\n" + line
        if not size:
            adopted = foreign_bytes.read(self._foreign_path).adopted
            foreign_bytes.keep(self._foreign_path, ForeignBytes(adopted=adopted))
        lines.append(fd, line)
        os.fsync(fd)
        if not size:
            files.sync_folder(self.path.parent)
        self._save(Head.of(record))
        return record

    def _save(self, head: Head) -> None:
        files.replace(self._head_path, json.dumps({"seq": head.seq, "hash": head.hash}), mode=0o600)

    def _rotate(self) -> None:
        """Move the full file aside and compress it; where that cannot be done it grows on, which is said."""
        real, full = Path(os.path.realpath(self.path)), rotation.aside(self.path)
        with self._growing_on():
            if not full.exists():
                real.rename(full)
                files.sync_folder(real.parent)
                self._end_rotation()

    def _end_rotation(self) -> None:
        full = rotation.aside(self.path)
        if full.exists():
            with self._growing_on():
                rotation.put_away(full, self._folder)

    @contextmanager
    def _growing_on(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            with suppress(OSError):
                real = Path(os.path.realpath(self.path))
                rotation.take_back(rotation.aside(self.path), real, self._folder)
            place, why = error.filename or self._folder, error.strerror
            self.say(f"the history is not rotated and grows on: {place}: {why}")

    def _begun(self, fd: int, head: Head, by: Record) -> Head:
        """The head after a new file was begun: by what it follows, and by what is dropped for it."""
        numbers = rotation.numbered(self._folder)
        if os.fstat(fd).st_size or not numbers or rotation.aside(self.path).exists():
            return head
        follows = {"file": rotation.name_of(numbers[-1]), "last": head.seq}
        head = Head.of(self._put(fd, head, {**by, "event": chain.ROTATED, "outcome": None, **follows}))
        over = max(0, len(numbers) - self.limits.keep)
        for number, after in islice(pairwise(numbers), min(over, DROPS)):
            dropped = self._droppable(number, after)
            if not dropped:
                break
            head = Head.of(self._put(fd, head, {**by, "event": chain.DROPPED, "outcome": None, **dropped}))
            with self._growing_on():
                (self._folder / rotation.name_of(number)).unlink()
                files.sync_folder(self._folder)
        return head

    def _droppable(self, number: int, after: int) -> Record | None:
        """What is to be said of a rotated file that is too old; None where it does not prove itself.

        Then it stays: dropped, a broken history would look whole again.
        """
        path, next_path = (self._folder / rotation.name_of(n) for n in (number, after))
        first, follows = (next(rotation.read(file), None) for file in (path, next_path))
        if not (first and first.record and follows and follows.record):
            return None
        start = Head(first.record["seq"] - 1, first.record["prev"])
        end = proof.end_of(rotation.read(path), start)
        if not (end and end.precedes(follows.record) and (start == GENESIS or self._was_dropped(start))):
            return None
        return {"file": path.name, "first": start.seq + 1, "last": end.seq, "last_hash": end.hash}

    def _was_dropped(self, start: Head) -> bool:
        """Whether a record says so: they stand where they are written, at the front of a file."""
        with Snapshot(self.path, self._folder, None) as seen:
            fronts = seen.fronts(1 + DROPS)
            return is_vouched(start, fronts)

    def _tell_witness(self, record: Record, by: Record) -> None:
        """Tell the witness the newest head; that it fails, or works again, is recorded once, and said."""
        if not self.limits.witness:
            return
        path, marked = Path(self.limits.witness), self.state / "witness-failed"
        content = {**by, "event": chain.WITNESS, "file": self.limits.witness}
        with suppress(HistoryError, OSError):
            try:
                head, time = Head.of(record), record["time"]
                witness.tell(path, head, time, history=self.path, state=self.state)
            except OSError as error:
                self.say(f"the witness {path} was not told the head of the history: {error.strerror}")
                if not marked.exists():
                    marked.touch(0o600)
                    self._note(record, {**content, "outcome": "failed", "error": error.strerror})
            else:
                if marked.exists():
                    marked.unlink()
                    self._note(record, {**content, "outcome": "restored"})

    def _note(self, record: Record, content: Record) -> None:
        with lines.opened(self.path, _WRITE) as fd:
            self._put(fd, Head.of(record), content)

    def _witnessed(self, told: witness.Testimony | None, found: Verification) -> Witnessed | None:
        if told is None:
            return None
        behind = (found.head.seq if found.head else 0) - (told.last.seq if told.last else 0)
        problem = told.problem or (f"it was not told the last {behind} heads" if behind > 0 else "")
        against = told.contradicts or found.denied
        return Witnessed(Path(str(self.limits.witness)), told.last, against, problem, found.attested)


_WRITE = os.O_RDWR | os.O_APPEND | os.O_CREAT


def of(places: Settings, say: Callable[[str], None]) -> History:
    """The history of a project, with the limits of its manifest as that stands, valid or not."""
    limits = _limits(places.manifest, _signature(places.manifest))
    if limits.witness:
        limits = replace(limits, witness=str(places.root / limits.witness))
    return History(places.history, places.state, limits, say)


@functools.lru_cache(maxsize=8)
def _limits(manifest: Path, signature: tuple[int, ...]) -> HistoryLimits:
    return history_limits(manifest)


def _signature(path: Path) -> tuple[int, ...]:
    """What changes when the file does; empty where there is none."""
    with suppress(OSError):
        found = path.stat()
        return found.st_mtime_ns, found.st_size, found.st_ino
    return ()


def _as_json(fields: Record) -> Record:
    try:
        text = json.dumps(fields, ensure_ascii=False).encode("utf-8", "replace")
        content: Record = json.loads(text, parse_constant=lambda _: None)
        # What came back must go out again: a key that was replaced may now collide, a number be too long.
        chain.line_of(content)
    except (TypeError, ValueError, RecursionError) as error:
        raise HistoryError(
            f"A history record cannot be written as JSON: {error}.", "invoke status --once"
        ) from error
    return content


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        place = Path(error.filename or path)
        message = f"The history cannot be used: {place}: {error.strerror}."
        raise HistoryError(message, _way_out(error, place)) from error


def _way_out(error: OSError, place: Path) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return f"df -h {place.parent}"
    with suppress(OSError):
        if error.errno == errno.EACCES and place.stat().st_uid != os.getuid():
            return f"sudo chown {os.getuid()} {shlex.quote(str(place))}"
    return f"ls -ld {place.parent} {place}"

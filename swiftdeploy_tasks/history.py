"""What happened here, in an order that nobody can change unnoticed?

The one room that writes `history.jsonl` and its head. It stands apart because its promises are about crashes
and rivals: a record that was returned is on disk, two processes never fork the chain, and what a crash left
behind is kept and named. It refuses to repair, shorten or judge what is there (`chain` judges), and a broken
history that can be written stops no append.
"""

from __future__ import annotations

import errno
import fcntl
import functools
import hashlib
import json
import os
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

from swiftdeploy_tasks import chain, files
from swiftdeploy_tasks.chain import GENESIS, MAX_LINE, Head, Line, Record, Verification
from swiftdeploy_tasks.errors import HistoryError
from swiftdeploy_tasks.manifest import HistoryLimits, history_limits
from swiftdeploy_tasks.settings import Settings

LOCK_SECONDS = 10.0
_CHUNK = 1 << 16


@dataclass(frozen=True)
class History:
    """The history of one project: `path` is its `history.jsonl`, `state` the folder that keeps its head.

    `say` is told, in one sentence, what a person should know and what stops nothing.
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
        if event in chain.MENDING or not fields.keys().isdisjoint(chain.CHAINED):
            raise ValueError(f"only the chain writes {', '.join((*chain.MENDING, *chain.CHAINED))}")
        content = _as_json({**fields, "event": event, "task": task, "run": run, "outcome": outcome})
        with _translated(self.path), self._locked(), self._opened() as fd:
            return self._put(fd, self._caught_up(fd, content), content)

    def head(self) -> Head | None:
        """The head that the state folder holds; None when there is none that can be read as one."""
        path = self._head_path
        with _translated(path):
            content = path.read_bytes() if path.exists() else b""
        try:
            found = json.loads(content)
            head = Head(found["seq"], found["hash"])
        except (ValueError, TypeError, KeyError, RecursionError):
            return None
        return head if type(head.seq) is int and head.seq >= 0 and chain.is_digest(head.hash) else None

    def verify(self) -> Verification:
        """Judge the history as it stood when asked, while others go on appending. Raises HistoryError."""
        with _translated(self.path), self._locked():
            head = self.head()
            size = self.path.stat().st_size if self.path.exists() else 0
        found = chain.check(lambda: read(self.path, size), head)
        return replace(found, head=head, first_bad_file=None if found.ok else self.path)

    def lines(self) -> Iterator[Line]:
        """Each line, oldest first, over all files, in bounded memory, as it stood when asked.

        Each record comes once, whatever others append or rotate meanwhile; a line that is no record comes
        with what is wrong with it. Raises HistoryError.
        """
        return read(self.path)

    def newest_first(self) -> Iterator[Record]:
        """Each record that proves itself, newest first: for who wants only the last ones, and stops there.

        It costs what is taken of it, up to the lines of one file at once. Raises HistoryError.
        """
        with _translated(self.path):
            if not self.path.exists():
                return
            with self._opened_to_read() as fd:
                end = os.fstat(fd).st_size
                while end > 0:
                    end, line = _line_before(fd, end)
                    if line.record:
                        yield line.record

    @contextmanager
    def _opened_to_read(self) -> Iterator[int]:
        fd = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK)
        try:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise OSError(errno.EINVAL, "not a regular file")
            yield fd
        finally:
            os.close(fd)

    @property
    def _head_path(self) -> Path:
        return self.state / "head.json"

    @contextmanager
    def _locked(self) -> Iterator[None]:
        files.make_folder(self.state)
        path = self.state / "history.lock"
        fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            _wait_for_lock(fd, path)
            yield
        finally:
            # Closing alone would leave the lock with a child that was forked meanwhile.
            fcntl.flock(fd, fcntl.LOCK_UN)
            os.close(fd)

    @contextmanager
    def _opened(self) -> Iterator[int]:
        fd = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise OSError(errno.EINVAL, "not a regular file")
            yield fd
        finally:
            os.close(fd)

    def _caught_up(self, fd: int, content: Record) -> Head:
        """The head to append on, after what a crash or a loss left behind is put on record."""
        head = self.head()
        if head is None and os.fstat(fd).st_size == 0:
            # With a head on disk before the first line, a missing one is always a loss and never a crash.
            self._save(GENESIS)
            return GENESIS
        torn, last = self._tail(fd, head)
        base = self._adopted(fd, head, last) if head else _last_believed(self.path)
        if head and not torn:
            return base
        mended = {
            "event": chain.TORN if head else chain.HEAD_LOST,
            "task": content["task"],
            "run": content["run"],
            "outcome": None,
            "torn": [{"bytes": line.size, "sha256": line.digest} for line in torn],
        }
        return Head.of(self._put(fd, base, mended))

    def _tail(self, fd: int, head: Head | None) -> tuple[list[Line], Line | None]:
        """The torn lines at the file's end, oldest first, and the last line before them."""
        torn: list[Line] = []
        end = os.fstat(fd).st_size
        while end > 0:
            start, line = _line_before(fd, end)
            whole = line.terminated or head is None or bool(line.record and head.precedes(line.record))
            if (line.record and whole) or (line.terminated and not self._aside(line).exists()):
                return torn, line
            if not line.terminated:
                self._keep_aside(fd, start, line)
            torn.insert(0, line)
            end = start
        return torn, None

    def _aside(self, line: Line) -> Path:
        return self.state / "torn" / line.digest

    def _keep_aside(self, fd: int, start: int, line: Line) -> None:
        path = self._aside(line)
        files.make_folder(path.parent)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:
            for chunk in _chunks(fd, start, start + line.size):
                out.write(chunk)
            out.flush()
            os.fsync(out.fileno())
        files.sync_folder(path.parent)

    def _adopted(self, fd: int, head: Head, last: Line | None) -> Head:
        """`head`, or the one record past it that a crash left between its line and its head."""
        if last is None or last.record is None or not head.precedes(last.record):
            return head
        if not last.terminated:
            _append_bytes(fd, b"\n")
        os.fsync(fd)
        self._save(Head.of(last.record))
        return Head.of(last.record)

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
        _append_bytes(fd, line)
        os.fsync(fd)
        if not size:
            files.sync_folder(self.path.parent)
        self._save(Head.of(record))
        return record

    def _save(self, head: Head) -> None:
        files.replace(self._head_path, json.dumps({"seq": head.seq, "hash": head.hash}), mode=0o600)


def of(places: Settings, say: Callable[[str], None]) -> History:
    """The history of a project, with the limits of its manifest as that stands, valid or not."""
    return History(places.history, places.state, _limits(places.manifest, _signature(places.manifest)), say)


@functools.lru_cache(maxsize=8)
def _limits(manifest: Path, signature: tuple[int, ...]) -> HistoryLimits:
    return history_limits(manifest)


def _signature(path: Path) -> tuple[int, ...]:
    """What changes when the file does; empty where there is none."""
    with suppress(OSError):
        found = path.stat()
        return found.st_mtime_ns, found.st_size, found.st_ino
    return ()


def read(path: Path, size: int | None = None) -> Iterator[Line]:
    """Each line of a history in turn, in bounded memory; of its first `size` bytes where that is given.

    A file that is not there has no lines. Raises HistoryError when it cannot be read.
    """
    with _translated(path):
        if not path.exists():
            return
        with path.open("rb", buffering=_CHUNK) as file:
            left = os.fstat(file.fileno()).st_size if size is None else size
            number = 0
            while raw := file.readline(min(left, MAX_LINE + 2)):
                number += 1
                line = chain.parse(raw, number, path)
                if not line.terminated and line.size > MAX_LINE:
                    line = _overlong(file, raw, left, line)
                left -= line.size + line.terminated
                yield line


def verify(path: Path, head: Head | None) -> Verification:
    """Judge the file at `path`, which nobody is writing, against `head`. Raises HistoryError."""
    return chain.check(lambda: read(path), head)


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
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        raise HistoryError(
            f"The history cannot be used: {place}: {error.strerror}.",
            f"df -h {place.parent}" if full else f"ls -ld {place.parent} {place}",
        ) from error


def _wait_for_lock(fd: int, path: Path) -> None:
    deadline, pause = time.monotonic() + LOCK_SECONDS, 0.0005
    while True:
        with suppress(BlockingIOError):
            return fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if time.monotonic() >= deadline:
            raise HistoryError(
                f"The history is busy: another process has held {path} for {LOCK_SECONDS:g} s.",
                f"fuser -v {path}",
            )
        time.sleep(pause)
        pause = min(pause * 2, 0.002)


def _append_bytes(fd: int, data: bytes) -> None:
    size = os.fstat(fd).st_size
    if os.write(fd, data) == len(data):
        return
    # A disk that fills up takes half a line; it was never acknowledged, so take back our own bytes.
    with suppress(OSError):
        os.ftruncate(fd, size)
    raise OSError(errno.ENOSPC, "no room for a whole record")


def _last_believed(path: Path) -> Head:
    last = GENESIS
    for line in read(path):
        last = Head.of(line.record) if line.record else last
    return last


def _line_before(fd: int, end: int) -> tuple[int, Line]:
    """Where the line that ends at byte `end` starts, and what it says."""
    start = _start_of_line(fd, end)
    if end - start <= MAX_LINE + 1:
        return start, chain.parse(os.pread(fd, end - start, start))
    terminated = os.pread(fd, 1, end - 1) == b"\n"
    digest = hashlib.sha256()
    for chunk in _chunks(fd, start, end - terminated):
        digest.update(chunk)
    size = end - start - terminated
    return start, Line(0, None, chain.TOO_LONG, size, digest.hexdigest(), terminated)


def _start_of_line(fd: int, end: int) -> int:
    # The line's own newline, the byte before `end`, does not count.
    stop = end - 1
    while stop > 0:
        start = max(0, stop - _CHUNK)
        found = os.pread(fd, stop - start, start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        stop = start
    return 0


def _chunks(fd: int, start: int, end: int) -> Iterator[bytes]:
    for at in range(start, end, _CHUNK):
        yield os.pread(fd, min(_CHUNK, end - at), at)


def _overlong(file: BinaryIO, first: bytes, left: int, line: Line) -> Line:
    digest, size, raw = hashlib.sha256(first), len(first), first
    while not raw.endswith(b"\n") and (raw := file.readline(min(left - size, _CHUNK))):
        digest.update(raw.removesuffix(b"\n"))
        size += len(raw)
    terminated = raw.endswith(b"\n")
    return replace(line, size=size - terminated, digest=digest.hexdigest(), terminated=terminated)

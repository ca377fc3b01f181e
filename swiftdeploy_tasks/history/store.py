"""The history of one project: appends records to history.jsonl, reads them back and verifies them."""

from __future__ import annotations

import errno
import functools
import json
import os
import shlex
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from swiftdeploy_tasks.errors import HistoryError
from swiftdeploy_tasks.history import chain, file_lock, head_file, rotation, verification, witness
from swiftdeploy_tasks.history.chain import Head, Line, Record
from swiftdeploy_tasks.history.head_file import HeadFile
from swiftdeploy_tasks.history.snapshot import Snapshot
from swiftdeploy_tasks.history.verification import Verification
from swiftdeploy_tasks.history.writer import Writer
from swiftdeploy_tasks.manifest.loading import history_limits
from swiftdeploy_tasks.manifest.model import HistoryLimits
from swiftdeploy_tasks.settings import Settings

# How often a verification restarts because a file was dropped while it read.
TRIES = 5

Through = Callable[[Iterator[Line]], Iterator[Line]]


@dataclass(frozen=True)
class History:
    """The history of one project: `path` is its `history.jsonl`, `state` the folder that keeps its head.

    A record that was returned is on disk, and two processes cannot fork the chain. `limits.witness` is an
    absolute path here. `say` takes a sentence for the user about what stops nothing.
    """

    path: Path
    state: Path
    limits: HistoryLimits = field(default_factory=HistoryLimits)
    say: Callable[[str], None] = field(default=lambda _: None, compare=False, repr=False)

    def append(self, event: str, task: str, run: str, outcome: str | None = None, **fields: Any) -> Record:
        """Write one record and return it as it stands in the file; it is on disk then.

        A figure that is not finite becomes null, a lone surrogate a question mark. A broken history stops no
        append. Raises HistoryError when it cannot be written, ValueError for what only the chain may write.
        """
        if event in chain.OWN or not fields.keys().isdisjoint(chain.CHAINED):
            raise ValueError(f"only the chain writes {', '.join((*chain.OWN, *chain.CHAINED))}")
        content = _as_json({**fields, "event": event, "task": task, "run": run, "outcome": outcome})
        by = {name: content[name] for name in ("task", "run")}
        with _translated(self.path), file_lock.hold(self._lock, to_write=True):
            return Writer(self.path, self.state, self.limits, self.say, by).append(content)

    def head(self) -> Head | None:
        """The head that the state folder holds; None where there is none."""
        with _translated(self.path):
            return head_file.read(self.state).head

    def verify(self, *, through: Through = iter) -> Verification:
        """Verify the history as it stood when asked, while others go on appending. Raises HistoryError.

        The lines are read through `through`, and once more where a file was dropped while it was read.
        """
        with _translated(self.path):
            if not self.limits.witness:
                return self._verified({}, through)
            path = Path(self.limits.witness)
            witnessed = witness.read(path, history=self.path, state=self.state)
            found = self._verified(witnessed.claims, through)
            return replace(
                found, witness=witnessed.compared(found.head, denied=found.denied, agrees=found.agrees)
            )

    def lines(self) -> Iterator[Line]:
        """Each line, oldest first, over all files, in bounded memory, as it stood when asked.

        Each record comes once, whatever others append or rotate meanwhile; a line that is no record, or a
        file that is gone or damaged, comes with what is wrong with it. Raises HistoryError.
        """
        with _translated(self.path), self._snapshot() as (seen, _):
            yield from seen.lines(passing_over=True)

    def proven(self) -> Generator[Record, None, None]:
        """Each record that is linked to the head and that our own append wrote, newest first.

        It ends at the first break, and at a record that was adopted from past the head: another program may
        have written that one. Close it when stopping early, or a request to end that comes meanwhile is lost.
        Raises HistoryError.
        """
        with _translated(self.path), self._snapshot() as (seen, kept):
            for record in seen.linked(kept.head) if kept.head else ():
                if record["seq"] <= kept.adopted:
                    return
                yield record

    def _verified(self, claims: Mapping[int, str], through: Through, tries: int = TRIES) -> Verification:
        try:
            with self._snapshot() as (seen, kept):
                read = through(seen.lines())
                return verification.verify(
                    read, kept.head, claims=claims, current_file=self.path, file_before=seen.file_before
                )
        except FileNotFoundError:
            # A file was dropped while it was read.
            if tries == 1:
                raise
        return self._verified(claims, through, tries - 1)

    @contextmanager
    def _snapshot(self) -> Iterator[tuple[Snapshot, HeadFile]]:
        """The files and the head at one moment."""
        while True:
            was_locked = self._lock.exists()
            with file_lock.hold(self._lock, to_write=False):
                kept = head_file.read(self.state)
                seen = Snapshot(self.path, self.state / rotation.FOLDER)
            with closing(seen):
                # Without a lock file no record was written before this read began.
                if was_locked or not self._lock.exists():
                    yield seen, kept
                    return

    @property
    def _lock(self) -> Path:
        return self.state / "history.lock"


def of(places: Settings, say: Callable[[str], None]) -> History:
    """The history of a project, with the limits of its manifest, which need not be valid."""
    limits = _limits(places.manifest, _signature(places.manifest))
    if limits.witness:
        limits = replace(limits, witness=str(places.root / limits.witness))
    return History(places.history, places.state, limits, say)


@functools.lru_cache(maxsize=8)
def _limits(manifest: Path, signature: tuple[int, ...]) -> HistoryLimits:
    return history_limits(manifest)


def _signature(path: Path) -> tuple[int, ...]:
    """What changes when the file changes; empty where there is no file."""
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

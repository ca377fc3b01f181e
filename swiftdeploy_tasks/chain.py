"""Does each record follow the one before, and does the last one meet the head?

The pure half of the history: what a record's hash is, what a line says, and what a run of lines proves. It
stands apart from `history` so that every kind of tampering can be judged without a file. It refuses to read,
write, lock or mend anything.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Record = dict[str, Any]

VERSION = 1
MAX_LINE = 1 << 20
TOO_LONG = f"is not a record: longer than {MAX_LINE} bytes"
TORN, HEAD_LOST = "torn", "head_lost"
MENDING = (TORN, HEAD_LOST)
CHAINED = ("v", "seq", "time", "prev", "hash")

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_TYPES: dict[str, tuple[type, ...]] = {
    "v": (int,),
    "seq": (int,),
    "time": (str,),
    "run": (str,),
    "task": (str,),
    "event": (str,),
    "outcome": (str, type(None)),
    "prev": (str,),
    "hash": (str,),
}
_canonical = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":")
).encode
_PLAIN_FORMS = tuple(
    json.JSONEncoder(ensure_ascii=ascii_only, allow_nan=False, separators=separators).encode
    for separators in ((",", ":"), (", ", ": "))
    for ascii_only in (False, True)
)


@dataclass(frozen=True)
class Head:
    """The place in the chain where the next record goes: the last record's seq and hash."""

    seq: int
    hash: str

    @classmethod
    def of(cls, record: Record) -> Head:
        """The head that `record` is."""
        return cls(record["seq"], record["hash"])

    def precedes(self, record: Record) -> bool:
        """Whether `record` is the one that comes next."""
        return bool(record["seq"] == self.seq + 1 and record["prev"] == self.hash)


GENESIS = Head(0, "0" * 64)


@dataclass(frozen=True)
class Line:
    """One line: its record when the line proves itself, else what is wrong with it.

    `number` counts from 1 within `file`, `size` is in bytes and `digest` the SHA-256 of the line, both
    without its newline; the digest is empty where there is a record that ends in a newline.
    """

    number: int
    record: Record | None
    problem: str
    size: int
    digest: str
    terminated: bool
    file: Path = Path()


@dataclass(frozen=True)
class Witnessed:
    """What a second witness says: the newest head that it has, and what speaks against the history or it.

    `contradicts` is what it knows otherwise, which counts against the history; `problem` is why it cannot be
    read or was not told of late, which does not.
    """

    path: Path
    last: Head | None = None
    contradicts: str = ""
    problem: str = ""


@dataclass(frozen=True)
class Verification:
    """What a run of lines proves.

    `first_bad` is a 1-based line of `first_bad_file` (for a lost tail, where it should stand), None where all
    is well; `trusted_until` is a seq (0: nothing); `head` is what was compared, None where there is none.
    `times_back` counts the records that are older by the clock than the one before, which is no fault;
    `first_back` is the seq of the first of them.
    """

    ok: bool
    records: int
    first_bad: int | None
    reason: str
    trusted_until: int
    first_bad_file: Path | None = None
    head: Head | None = None
    witness: Witnessed | None = None
    times_back: int = 0
    first_back: int | None = None


def digest_of(record: Record) -> str:
    """The hash of a record, in hex: SHA-256 of the UTF-8 canonical JSON of all its keys but `hash`."""
    return hashlib.sha256(_body(record)).hexdigest()


def seal(fields: Record, head: Head, time: str) -> Record:
    """The record that puts `fields` next after `head`, with its hash."""
    record = {**fields, "v": VERSION, "seq": head.seq + 1, "time": time, "prev": head.hash}
    return {**record, "hash": digest_of(record)}


def line_of(record: Record) -> bytes:
    """The line that stands for `record` in the file, newline included."""
    return _canonical(record).encode() + b"\n"


def parse(raw: bytes, number: int = 0, file: Path = Path()) -> Line:
    """What one line says; `raw` with its newline, if it has one."""
    text = raw.removesuffix(b"\n")
    terminated = len(text) < len(raw)
    record, problem = _believed(text)
    digest = "" if record and terminated else hashlib.sha256(text).hexdigest()
    return Line(number, record, problem, len(text), digest, terminated, file)


def _believed(text: bytes) -> tuple[Record | None, str]:
    if len(text) > MAX_LINE:
        return None, TOO_LONG
    try:
        found = json.loads(text.decode())
        problem = _ill_typed(found) or _edited(found, text)
    except (ValueError, RecursionError):
        return None, "is not a record: not JSON in UTF-8"
    return (None, problem) if problem else (found, "")


def _ill_typed(found: object) -> str:
    if not isinstance(found, dict):
        return "is not a record: not a JSON object"
    version = found.get("v")
    if type(version) is int and version != VERSION:
        return f"is of another program version: v is {version}, known is {VERSION}"
    wrong = next((key for key, types in _TYPES.items() if type(found.get(key, found)) not in types), "")
    if not wrong and not _TIME.fullmatch(found["time"]):
        wrong = "time"
    return f"is not a record: {wrong} is missing or of the wrong type" if wrong else ""


def is_digest(value: object) -> bool:
    """Whether `value` is a SHA-256 in hex."""
    return isinstance(value, str) and _DIGEST.fullmatch(value) is not None


def _edited(record: Record, text: bytes) -> str:
    body = _body(record)
    if hashlib.sha256(body).hexdigest() != record["hash"]:
        return "was edited: its hash does not match what it says"
    # The hash covers the object, not its spelling; a changed byte that leaves the object alone counts too.
    if text.replace(b'"hash":"%s",' % record["hash"].encode(), b"", 1) == body:
        return ""
    if any(form(record).encode() == text for form in _PLAIN_FORMS):
        return ""
    return "was edited: not a plain writing of its record"


def _body(record: Record) -> bytes:
    return _canonical({key: value for key, value in record.items() if key != "hash"}).encode()


def check(lines: Callable[[], Iterable[Line]], head: Head | None) -> Verification:
    """Judge a whole history against its head; `lines` is called a second time only to name what is wrong."""
    walk = _Walk(head)
    fault = next((bad for bad in map(walk.step, lines()) if bad), None) or walk.end()
    if not fault:
        return Verification(True, walk.records, None, "", walk.trusted.seq)
    return _explained(fault, walk.trusted, lines(), head)


@dataclass(frozen=True)
class _Fault:
    number: int
    reason: str
    stray: Record | None = None


class _Walk:
    """One pass over the lines: what is trusted so far, and the lines that only a later record can excuse."""

    def __init__(self, head: Head | None) -> None:
        self.head = head
        self.trusted = GENESIS
        self.records = 0
        self.number = 0
        self.unexplained: list[Line] = []

    def step(self, line: Line) -> _Fault | None:
        self.number = line.number
        record = line.record
        if record is None or not (line.terminated or self._adoptable(record)):
            self.unexplained.append(line)
            return None
        fault = self._fault(line, record)
        if not fault:
            self.trusted, self.records, self.unexplained = Head.of(record), self.records + 1, []
        return fault

    def _adoptable(self, record: Record) -> bool:
        return bool(self.head and self.head.precedes(record))

    def _fault(self, line: Line, record: Record) -> _Fault | None:
        closed_off = announced(record)
        if [(line.size, line.digest) for line in self.unexplained] != closed_off:
            return self._unexcused(line)
        if not self.trusted.precedes(record):
            # A torn line that is accounted for is no fault: what is missing should have stood in its place.
            return _Fault(line.number - len(closed_off), "", record)
        if record["event"] == HEAD_LOST:
            return _Fault(
                line.number, "head missing: it was lost here, and with it the proof of what stood last"
            )
        if self.head and record["seq"] == self.head.seq and record["hash"] != self.head.hash:
            return _Fault(line.number, "was edited: its hash is not the one that the head names")
        if self.head and record["seq"] > self.head.seq + 1:
            return _Fault(line.number, f"was inserted: the head is at record {self.head.seq}")
        return None

    def _unexcused(self, line: Line) -> _Fault:
        if self.unexplained:
            return _Fault(self.unexplained[0].number, self.unexplained[0].problem)
        return _Fault(line.number, "removed: the torn lines that this record closes off are not before it")

    def end(self) -> _Fault | None:
        first = self.unexplained[0] if self.unexplained else None
        if first and (first.terminated or not self.head):
            return _Fault(first.number, first.problem or "has lost its newline")
        if not self.head:
            return (
                _Fault(self.number + 1, "head missing: nothing proves what stood last")
                if self.number
                else None
            )
        if self.trusted.seq < self.head.seq:
            return _Fault(
                first.number if first else self.number + 1,
                f"truncated: records {self.trusted.seq + 1} to {self.head.seq} should stand from here",
            )
        return None


def announced(record: Record) -> list[tuple[object, object]]:
    """Size in bytes and digest of each torn line that stands before `record` and that it closes off."""
    torn = record.get("torn") if record["event"] in MENDING else None
    if not isinstance(torn, list):
        return []
    return [(entry.get("bytes"), entry.get("sha256")) for entry in torn if isinstance(entry, dict)]


def _explained(fault: _Fault, trusted: Head, lines: Iterable[Line], head: Head | None) -> Verification:
    if fault.stray is None:
        records = sum(line.record is not None for line in lines)
        return Verification(False, records, fault.number, fault.reason, trusted.seq)
    seen = _Search(fault.number, fault.stray, trusted, head)
    for line in lines:
        seen.note(line)
    back = seen.forged_before()
    if back:
        verb = "edited" if fault.stray["seq"] > trusted.seq else "inserted"
        reason = f"was {verb}: what leads up to the head does not follow it"
        return Verification(False, seen.records, fault.number - back, reason, trusted.seq - back)
    return Verification(False, seen.records, fault.number, seen.reason(), trusted.seq)


class _Search:
    """A second pass: where a stray record belongs, and where the one is that is due in its place."""

    def __init__(self, number: int, stray: Record, trusted: Head, head: Head | None) -> None:
        self.number, self.stray, self.trusted, self.head = number, stray, trusted, head
        self.records = 0
        self.twin = 0
        self.due_at = 0
        self.belongs = head == Head.of(stray)
        self.reached: Head | None = None

    def note(self, line: Line) -> None:
        record = line.record
        if record is None:
            return
        self.records += 1
        is_stray = record["hash"] == self.stray["hash"]
        if line.number < self.number:
            self.twin = line.number if is_stray else self.twin
            return
        if self.trusted.precedes(record):
            self.due_at = line.number
        self.belongs = self.belongs or record["prev"] == self.stray["hash"]
        if is_stray or (self.reached and self.reached != self.head and self.reached.precedes(record)):
            self.reached = Head.of(record)

    def forged_before(self) -> int:
        """How many lines before the stray one are the false ones, as all from it on leads to the head."""
        ahead = self.stray["seq"] - self.trusted.seq
        if self.twin or ahead > 1 or not self.trusted.seq or self.reached != self.head:
            return 0
        return max(1, 1 - int(ahead))

    def reason(self) -> str:
        seq, due = self.stray["seq"], self.trusted.seq + 1
        if self.twin:
            return f"was duplicated: record {seq} stands in line {self.twin} already"
        if self.due_at and self.belongs:
            return f"was swapped: record {due}, due here, stands in line {self.due_at}"
        if self.due_at or seq <= due:
            return f"was inserted: record {seq} does not follow record {self.trusted.seq}"
        return f"removed: record {due} is missing here, record {seq} stands in its place"

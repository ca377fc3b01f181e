"""Verifies that each line links to the one before, up to the head, in one pass.

It stops at the first fault; `flaws` names the cause.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from swiftdeploy_tasks.history.chain import (
    DROPPED,
    GENESIS,
    HEAD_LOST,
    MENDING,
    MOST_TORN,
    ROTATED,
    Head,
    Line,
    Proven,
    Record,
    Verification,
    announced,
    is_digest,
    is_sealed,
    records_of,
)

NO_NEWLINE = "has lost its newline"


def vouches(record: Record) -> Head | None:
    """The head of what was dropped by age, where the record is one that says so."""
    if record["event"] != DROPPED:
        return None
    last, last_hash = record.get("last"), record.get("last_hash")
    return Head(last, str(last_hash)) if type(last) is int and is_digest(last_hash) else None


class Voucher:
    """Looks for the record that vouches for a beginning, `start`, which is not that of all.

    It stands where only a rotation writes it, right behind `rotated`, and the head covers it: a line past the
    head is anybody's.
    """

    def __init__(self, start: Head, head: Head | None) -> None:
        self._start, self._head = start, head
        self._is_behind = False
        self.seq: int | None = None

    def hear(self, record: Record) -> None:
        """Take the next record."""
        event = record["event"]
        if self._is_behind and event == DROPPED:
            is_covered = self._head is None or record["seq"] <= self._head.seq
            if is_covered and vouches(record) == self._start:
                self.seq = record["seq"]
        else:
            self._is_behind = event == ROTATED


def is_vouched(start: Head, lines: Iterable[Line]) -> bool:
    """Whether one of these lines vouches for that beginning."""
    voucher = Voucher(start, None)
    for line in lines:
        if line.record:
            voucher.hear(line.record)
    return voucher.seq is not None


@dataclass(frozen=True)
class Fault:
    """`number` counts all lines from 1; `trusted` is a seq that is still good.

    `denial` is what the witness has instead, where it is the one who says so.
    """

    number: int
    reason: str
    stray: Record | None = None
    trusted: int = 0
    denial: str = ""


@dataclass
class Places:
    """Which line of which file is the nth of all."""

    last: int = 0
    starts: list[int] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)
    _file: Path | None = None
    _before: int = 0

    def note(self, line: Line) -> int:
        """Take the next line, and return which of all it is."""
        if line.file is not self._file:
            self._turn_to(line.file)
        # Lines between that were passed over count too.
        number = self._before + line.number
        self.last = number if number > self.last else self.last + 1
        return self.last

    def _turn_to(self, file: Path) -> None:
        self._file = file
        if not self.files or self.files[-1] != file:
            self.starts.append(self.last + 1)
            self.files.append(file)
            self._before = self.last

    def of(self, number: int) -> tuple[Path, int]:
        """The file of the nth line of all, and its number there."""
        at = bisect_right(self.starts, number) - 1
        return self.files[at], number - self.starts[at] + 1

    def named(self, found: Verification, number: int, present: Path | None) -> Verification:
        """The same, with its first bad line in its file: past the last line it is where the next one goes."""
        if present is not None and number > self.last and (not self.files or self.files[-1] != present):
            return placed(found, present, 1)
        return placed(found, *self.of(number)) if self.files else placed(found, present, number)


def placed(found: Verification, file: Path | None, line: int) -> Verification:
    """The same, with its first bad line."""
    return Verification(**{**vars(found), "first_bad": line, "first_bad_file": file})


@dataclass
class _Unexcused:
    """The bad lines since the last record: the first and its number, size and digest of each, the sum."""

    number: int = 0
    first: Line | None = None
    torn: list[tuple[object, object]] = field(default_factory=list)
    bytes: int = 0

    def add(self, number: int, line: Line) -> None:
        if self.first is None:
            self.number, self.first = number, line
        self.torn.append((line.size, line.digest))
        self.bytes += line.size


class Walk:
    """What is trusted so far, and the lines that only a later record can excuse."""

    def __init__(self, head: Head | None, claims: Mapping[int, str], start: Head | None = None) -> None:
        self.head, self.claims = head, claims
        self.trusted = start or GENESIS
        # Where the history begins, when not at its beginning: a later record has to vouch for that.
        self.start = start or GENESIS
        self.first: Record | None = None
        self.voucher: Voucher | None = None
        self.records = 0
        self.places = Places()
        self.unexcused = _Unexcused()
        self.denied: Fault | None = None
        self.attested = 0
        self.time = ""
        self.times_back = 0
        self.first_back: int | None = None
        self.torn_lines = self.torn_bytes = 0

    @property
    def is_vouched(self) -> bool:
        """Whether nothing is missing before the first record but what was dropped by age."""
        return self.voucher is None or self.voucher.seq is not None

    @property
    def past_head(self) -> int | None:
        """The seq of the one record that stands past the head, None where none does."""
        return self.trusted.seq if self.head and self.trusted.seq > self.head.seq else None

    def step(self, line: Line) -> Fault | None:
        """Take the next line; what is wrong, if that is certain now."""
        number = self.places.note(line)
        record = line.record
        if record is None or not (line.terminated or self._adoptable(record)):
            self.unexcused.add(number, line)
            # No record has room to close off more than these.
            return self._unexcused(number) if len(self.unexcused.torn) > MOST_TORN else None
        fault = self._fault(number, record)
        if not fault:
            self._take(number, record)
        return fault

    def _take(self, number: int, record: Record) -> None:
        self.trusted, self.records = Head.of(record), self.records + 1
        if self.unexcused.torn:
            self.torn_lines += len(self.unexcused.torn)
            self.torn_bytes += self.unexcused.bytes
            self.unexcused = _Unexcused()
        if self.voucher and self.voucher.seq is None:
            self.voucher.hear(record)
        if record["time"] < self.time:
            self.times_back += 1
            self.first_back = self.first_back or record["seq"]
        self.time = record["time"]
        if self.claims and not self.denied:
            self._compare(number, self.trusted)

    def _compare(self, number: int, with_this: Head) -> None:
        """Hold a record's seq and hash against what the witness has."""
        seq = with_this.seq
        claim = self.claims.get(seq)
        if claim == with_this.hash:
            self.attested = seq
        elif claim is not None:
            denial = f"has another hash for record {seq}"
            reason = f"was edited: the witness {denial}"
            self.denied = Fault(number, reason, trusted=seq - 1, denial=f"it {denial}")

    def _adoptable(self, record: Record) -> bool:
        return bool(self.head and self.head.precedes(record) and is_sealed(record))

    def _fault(self, number: int, record: Record) -> Fault | None:
        closed_off = announced(record) if record["event"] in MENDING else []
        if (self.unexcused.torn or closed_off) and self.unexcused.torn != closed_off:
            return self._unexcused(number)
        if not self.records and self.start is GENESIS and record["seq"] > 1:
            self._begin_late(number, record)
        if not self.trusted.precedes(record):
            # A torn line that is accounted for is no fault: what is missing should have stood in its place.
            return Fault(number - len(closed_off), "", record)
        if record["event"] == HEAD_LOST:
            return Fault(number, "head missing: it was lost here, and with it the proof of what stood last")
        if self.head and record["seq"] >= self.head.seq:
            return self._past(self.head, number, record)
        return None

    def _begin_late(self, number: int, record: Record) -> None:
        self.start = self.trusted = Head(record["seq"] - 1, record["prev"])
        self.first, self.voucher = record, Voucher(self.start, self.head)
        self._compare(number, self.start)

    def _past(self, head: Head, number: int, record: Record) -> Fault | None:
        if record["seq"] == head.seq and record["hash"] != head.hash:
            return Fault(number, "was edited: its hash is not the one that the head names")
        if record["seq"] > head.seq + 1:
            return Fault(number, f"was inserted: the head is at record {head.seq}")
        if record["seq"] > head.seq and not is_sealed(record):
            return Fault(number, "was inserted: its hash is not that of its canonical JSON")
        return None

    def _unexcused(self, number: int) -> Fault:
        if self.unexcused.first:
            return Fault(self.unexcused.number, self.unexcused.first.problem or NO_NEWLINE)
        return Fault(number, "removed: the torn lines that this record closes off are not before it")

    def end(self) -> Fault | None:
        """What is wrong when no more lines come."""
        first = self.unexcused.first
        number = self.unexcused.number if first else self.places.last + 1
        if first and (first.terminated or not self.head):
            return Fault(number, first.problem or NO_NEWLINE)
        if not self.head:
            words = "head missing: nothing proves what stood last"
            return Fault(number, words) if self.places.last else None
        if self.trusted.seq < self.head.seq:
            if first and first.record and Head.of(first.record) == self.head:
                return Fault(number, NO_NEWLINE)
            missing = records_of(self.trusted.seq + 1, self.head.seq)
            return Fault(number, f"truncated: {missing} should stand from here")
        return None

    def proven(self) -> Proven | None:
        """What is proven of a history in which nothing is wrong, unless the witness says so."""
        covered = min(self.trusted.seq, self.head.seq) if self.head else 0
        last = self.attested if self.contradiction() else covered
        first = self.start.seq + 1
        return Proven(first, last) if last >= first else None

    def contradiction(self) -> Fault | None:
        """What the witness knows otherwise of a history in which nothing else is wrong."""
        told = max(self.claims, default=0)
        if self.denied or told <= self.trusted.seq:
            return self.denied
        last = self.trusted.seq
        denial = f"knows record {told}, and the last one here is {last}"
        reason = f"truncated: the witness {denial}"
        return Fault(self.places.last + 1, reason, trusted=last, denial=f"it {denial}")

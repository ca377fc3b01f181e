"""What does a run of lines prove, file after file, against its head?

The pure half of judging a history. It stands apart so that every kind of tampering can be judged without a
file. It refuses to read, write, lock or mend anything, and to let a later line excuse what it does not name.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from swiftdeploy_tasks.chain import (
    DROPPED,
    GENESIS,
    HEAD_LOST,
    MENDING,
    Head,
    Line,
    Proven,
    Record,
    Verification,
    announced,
    is_digest,
    is_sealed,
)


def check(
    lines: Callable[[], Iterable[Line]],
    head: Head | None,
    *,
    present: Path | None = None,
    before: Path | None = None,
    claims: Mapping[int, str] | None = None,
) -> Verification:
    """Judge a whole history against its head; `lines` is called a second time only to name what is wrong.

    `present` is the file that the next line goes to, `before` the one that should stand before the first;
    `claims` are the hashes that a witness has by seq, and what it knows otherwise counts.
    """
    walk = _Walk(head, claims or {})
    fault = next((bad for bad in map(walk.step, lines()) if bad), None) or walk.end()
    if fault or not walk.is_vouched:
        return _explained(walk, fault, lines(), present, before)
    fault = walk.contradiction()
    found = Verification(
        fault is None,
        walk.records,
        None,
        fault.reason if fault else "",
        min(walk.trusted.seq, fault.trusted) if fault else walk.trusted.seq,
        head=head,
        times_back=walk.times_back,
        first_back=walk.first_back,
        proven=walk.proven(),
        dropped_by=walk.dropped_by,
    )
    return walk.places.named(found, fault.number, present) if fault else found


def is_denied(found: Verification) -> bool:
    """Whether nothing but the witness speaks against the history."""
    return not found.ok and _DENIED in found.reason


def end_of(lines: Iterable[Line], start: Head) -> Head | None:
    """Where lines that follow `start` lead to; None when they do not follow it, or anything is wrong."""
    walk = _Walk(None, {})
    walk.trusted, walk.start = start, None
    if any(walk.step(line) for line in lines) or walk.unexplained or not walk.records:
        return None
    return walk.trusted


def vouches(record: Record) -> Head | None:
    """The head of what was dropped by age, where the record is one that says so."""
    if record["event"] != DROPPED:
        return None
    last, last_hash = record.get("last"), record.get("last_hash")
    return Head(last, str(last_hash)) if type(last) is int and is_digest(last_hash) else None


_DENIED = "the witness "


@dataclass(frozen=True)
class _Fault:
    """`number` counts all lines from 1; `trusted` is a seq that is still good."""

    number: int
    reason: str
    stray: Record | None = None
    trusted: int = 0


@dataclass
class _Places:
    """Which line of which file is the nth of all."""

    starts: list[int] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)

    def note(self, number: int, file: Path) -> None:
        if not self.files or (self.files[-1] is not file and self.files[-1] != file):
            self.starts.append(number)
            self.files.append(file)

    def of(self, number: int) -> tuple[Path, int]:
        at = bisect_right(self.starts, number) - 1
        return self.files[at], number - self.starts[at] + 1

    def named(self, found: Verification, number: int, present: Path | None) -> Verification:
        """The same, with its first bad line in its file: past the last line it is where the next one goes."""
        if present is not None and number > self.last and (not self.files or self.files[-1] != present):
            return _placed(found, present, 1)
        return _placed(found, *self.of(number)) if self.files else _placed(found, present, number)

    last: int = 0


def _placed(found: Verification, file: Path | None, line: int) -> Verification:
    return Verification(**{**vars(found), "first_bad": line, "first_bad_file": file})


class _Walk:
    """One pass over the lines: what is trusted so far, and the lines that only a later record can excuse."""

    def __init__(self, head: Head | None, claims: Mapping[int, str]) -> None:
        self.head, self.claims = head, claims
        self.trusted = GENESIS
        # Where the history begins, when not at its beginning: a later record has to vouch for that.
        self.start: Head | None = GENESIS
        self.first: Record | None = None
        self.is_vouched = True
        self.dropped_by: int | None = None
        self.records = 0
        self.places = _Places()
        self.unexplained: list[tuple[int, Line]] = []
        self.denied: _Fault | None = None
        self.attested = 0
        self.time = ""
        self.times_back = 0
        self.first_back: int | None = None

    def step(self, line: Line) -> _Fault | None:
        self.places.last += 1
        number = self.places.last
        self.places.note(number, line.file)
        record = line.record
        if record is None or not (line.terminated or self._adoptable(record)):
            self.unexplained.append((number, line))
            return None
        fault = self._fault(number, record)
        if not fault:
            self._take(number, record)
        return fault

    def _take(self, number: int, record: Record) -> None:
        self.trusted, self.records, self.unexplained = Head.of(record), self.records + 1, []
        if not self.is_vouched and vouches(record) == self.start:
            self.is_vouched, self.dropped_by = True, record["seq"]
        if record["time"] < self.time:
            self.times_back += 1
            self.first_back = self.first_back or record["seq"]
        self.time = record["time"]
        if self.claims and not self.denied:
            self.denied = self._denied(number, record)
            if record["seq"] in self.claims and not self.denied:
                self.attested = record["seq"]

    def _denied(self, number: int, record: Record) -> _Fault | None:
        seq = record["seq"]
        if self.claims.get(seq, record["hash"]) == record["hash"]:
            return None
        return _Fault(number, f"was edited: {_DENIED}has another hash for record {seq}", trusted=seq - 1)

    def _adoptable(self, record: Record) -> bool:
        return bool(self.head and self.head.precedes(record) and is_sealed(record))

    def _fault(self, number: int, record: Record) -> _Fault | None:
        closed_off = announced(record) if record["event"] in MENDING else []
        if (self.unexplained or closed_off) and self._sizes() != closed_off:
            return self._unexcused(number)
        if self.start is GENESIS and not self.records and record["seq"] > 1:
            self.start = self.trusted = Head(record["seq"] - 1, record["prev"])
            self.first, self.is_vouched = record, False
        if not self.trusted.precedes(record):
            # A torn line that is accounted for is no fault: what is missing should have stood in its place.
            return _Fault(number - len(closed_off), "", record)
        if record["event"] == HEAD_LOST:
            return _Fault(number, "head missing: it was lost here, and with it the proof of what stood last")
        if self.head and record["seq"] >= self.head.seq:
            return self._past(self.head, number, record)
        return None

    def _sizes(self) -> list[tuple[object, object]]:
        return [(line.size, line.digest) for _, line in self.unexplained]

    def _past(self, head: Head, number: int, record: Record) -> _Fault | None:
        if record["seq"] == head.seq and record["hash"] != head.hash:
            return _Fault(number, "was edited: its hash is not the one that the head names")
        if record["seq"] > head.seq + 1:
            return _Fault(number, f"was inserted: the head is at record {head.seq}")
        if record["seq"] > head.seq and not is_sealed(record):
            return _Fault(number, "was inserted: its hash is not that of its canonical JSON")
        return None

    def _unexcused(self, number: int) -> _Fault:
        if self.unexplained:
            first, line = self.unexplained[0]
            return _Fault(first, line.problem or "has lost its newline")
        return _Fault(number, "removed: the torn lines that this record closes off are not before it")

    def end(self) -> _Fault | None:
        number, first = self.unexplained[0] if self.unexplained else (self.places.last + 1, None)
        if first and (first.terminated or not self.head):
            return _Fault(number, first.problem or "has lost its newline")
        if not self.head:
            words = "head missing: nothing proves what stood last"
            return _Fault(number, words) if self.places.last else None
        if self.trusted.seq < self.head.seq:
            words = f"truncated: records {self.trusted.seq + 1} to {self.head.seq} should stand from here"
            return _Fault(number, words)
        return None

    def proven(self) -> Proven | None:
        """What is proven of a history in which nothing is wrong, unless the witness says so."""
        last = self.attested if self.contradiction() else self.trusted.seq
        first = self.start.seq + 1 if self.start else 1
        return Proven(first, last) if last >= first else None

    def contradiction(self) -> _Fault | None:
        """What the witness knows otherwise of a history in which nothing else is wrong."""
        told = max(self.claims, default=0)
        if self.denied or told <= self.trusted.seq:
            return self.denied
        reason = f"truncated: {_DENIED}knows record {told}, and the last one here is {self.trusted.seq}"
        return _Fault(self.places.last + 1, reason, trusted=self.trusted.seq)


def _explained(
    walk: _Walk, fault: _Fault | None, lines: Iterable[Line], present: Path | None, before: Path | None
) -> Verification:
    """Name the first bad line; with no `fault`, the one that the history begins with."""
    search = _Search(walk, fault)
    for line in lines:
        search.note(line)
    found = Verification(
        False,
        search.records,
        None,
        "",
        walk.trusted.seq,
        head=walk.head,
        times_back=walk.times_back,
        first_back=walk.first_back,
        proven=search.proven,
    )
    if fault and search.is_vouched:
        reason, back = search.reason()
        found = Verification(**{**vars(found), "reason": reason, "follows_until": found.follows_until - back})
        return search.places.named(found, fault.number - back, present)
    return _misbegun(walk, search, found, before)


def _misbegun(walk: _Walk, search: _Search, found: Verification, before: Path | None) -> Verification:
    assert walk.first is not None
    first = walk.first["seq"]
    gone = f"records 1 to {first - 1} are missing, and no later record says that they were dropped"
    file, line = search.places.of(1)
    if search.beginning:
        where = search.told(search.beginning, file)
        reason = f"was swapped: record 1, due here, stands in {where}"
    elif before:
        file, reason = before, f"file gone: {gone}"
    else:
        reason = f"removed: record 1 is missing here, record {first} stands in its place"
    found = Verification(**{**vars(found), "reason": reason, "follows_until": 0})
    return _placed(found, file, line)


class _Search:
    """A second pass: where a stray record belongs, where the one is that is due in its place, what is proven.

    A hash names all that came before it, so what is proven leads up to the head: what only follows a
    beginning can have been made anew from there on. A lost head breaks it off: nothing held what it took up.
    """

    def __init__(self, walk: _Walk, fault: _Fault | None) -> None:
        self.start, self.trusted, self.head = walk.start, walk.trusted, walk.head
        self.is_vouched = walk.is_vouched
        self.fault = fault
        self.stray = fault.stray if fault else None
        self.number = fault.number if fault else 0
        self.places = _Places()
        self.records = 0
        self.twin = 0
        self.due_at = 0
        self.beginning = 0
        self.belongs = bool(self.stray and self.head == Head.of(self.stray))
        self.reached: Head | None = None
        self.tip: Head | None = None
        self.run = Proven(0, 0)
        self.proven: Proven | None = None

    def note(self, line: Line) -> None:
        self.places.last += 1
        number = self.places.last
        self.places.note(number, line.file)
        record = line.record
        if record is None:
            return
        self.records += 1
        self._link(record)
        if not self.is_vouched:
            self.is_vouched = vouches(record) == self.start
            self.beginning = self.beginning or (number if GENESIS.precedes(record) else 0)
        if self.stray:
            self._seek(number, record, self.stray)

    def _link(self, record: Record) -> None:
        """Keep where the unbroken run of links began, and hold on to it where it meets the head."""
        seq = record["seq"]
        if record["event"] == HEAD_LOST or not (self.tip and self.tip.precedes(record)):
            self.run = Proven(seq, seq, self.records - 1)
        self.run, self.tip = self.run._replace(last=seq), Head.of(record)
        if self.tip == self.head and (self.proven is None or self.run.first < self.proven.first):
            self.proven = self.run

    def _seek(self, number: int, record: Record, stray: Record) -> None:
        is_stray = record["hash"] == stray["hash"]
        if number < self.number:
            self.twin = number if is_stray else self.twin
            return
        if self.trusted.precedes(record):
            self.due_at = self.due_at or number
        self.belongs = self.belongs or record["prev"] == stray["hash"]
        if is_stray or (self.reached and self.reached != self.head and self.reached.precedes(record)):
            self.reached = Head.of(record)

    def reason(self) -> tuple[str, int]:
        """What is wrong, and how many lines before the fault it begins."""
        assert self.fault is not None
        if self.stray is None:
            return self.fault.reason, 0
        if back := self._forged_before(self.stray):
            verb = "edited" if self.stray["seq"] > self.trusted.seq else "inserted"
            return f"was {verb}: what leads up to the head does not follow it", back
        return self._misplaced(self.stray), 0

    def _forged_before(self, stray: Record) -> int:
        """How many lines before the stray one are the false ones, as all from it on leads to the head."""
        ahead = stray["seq"] - self.trusted.seq
        if self.twin or ahead > 1 or not self.trusted.seq or self.reached != self.head:
            return 0
        return max(1, 1 - int(ahead))

    def _misplaced(self, stray: Record) -> str:
        seq, due = stray["seq"], self.trusted.seq + 1
        file, _ = self.places.of(self.number)
        if self.twin:
            return f"was duplicated: record {seq} stands in {self.told(self.twin, file)} already"
        if self.due_at and self.belongs:
            return f"was swapped: record {due}, due here, stands in {self.told(self.due_at, file)}"
        if self.due_at or seq <= due:
            return f"was inserted: record {seq} does not follow record {self.trusted.seq}"
        return f"removed: record {due} is missing here, record {seq} stands in its place"

    def told(self, number: int, file: Path) -> str:
        """A line as it is named in a sentence about another one, which stands in `file`."""
        where, line = self.places.of(number)
        return f"line {line}" if where == file else f"line {line} of {where.name}"

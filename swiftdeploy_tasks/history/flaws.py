"""Names the first bad line of a history that does not verify, its reason, and which records are proven.

`verification` stops at the first fault. Here all lines are read a second time. Only records linked to the
head, or to a head that the witness has, are proven.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from swiftdeploy_tasks.history.chain import (
    GENESIS,
    HEAD_LOST,
    Head,
    Line,
    Proven,
    Record,
    Verification,
    records_of,
)
from swiftdeploy_tasks.history.verification import Fault, Places, Voucher, Walk, placed


def explained(
    walk: Walk, fault: Fault | None, lines: Iterable[Line], present: Path | None, before: Path | None
) -> Verification:
    """Name the first bad line; with no `fault`, the one that the history begins with."""
    search = _Search(walk, fault)
    for line in lines:
        search.note(line)
    runs = search.runs
    found = Verification(
        False,
        search.records,
        None,
        "",
        walk.trusted.seq,
        head=walk.head,
        times_back=walk.times_back,
        first_back=walk.first_back,
        proven=runs.proven,
        by_witness=runs.by_head is None and runs.by_witness is not None,
        proven_from=search.places.of(runs.began) if runs.has_repeats and runs.began else None,
        denied=runs.denial(),
        attested=runs.attested,
        torn_lines=walk.torn_lines,
        torn_bytes=walk.torn_bytes,
    )
    if fault and search.is_vouched:
        reason, back = search.reason()
        found = Verification(**{**vars(found), "reason": reason, "follows_until": found.follows_until - back})
        return search.places.named(found, fault.number - back, present)
    return _misbegun(walk, search, found, before)


def _misbegun(walk: Walk, search: _Search, found: Verification, before: Path | None) -> Verification:
    assert walk.first is not None
    first = walk.first["seq"]
    missing = f"{records_of(1, first - 1)} {'is' if first == 2 else 'are'} missing"
    gone = f"{missing}, and no record up to the head says that they were dropped"
    file, line = search.places.of(1)
    if search.beginning:
        where = search.told(search.beginning, file)
        reason = f"was swapped: record 1, due here, stands in {where}"
    elif before:
        file, reason = before, f"file gone: {gone}"
    else:
        reason = f"removed: record 1 is missing here, record {first} stands in its place"
    found = Verification(**{**vars(found), "reason": reason, "follows_until": 0})
    return placed(found, file, line)


class _Runs:
    """The unbroken runs of links, and what of them the head proves, or else the witness.

    A hash names all that came before it, so what is proven leads up to one that was kept elsewhere: what only
    follows a beginning can have been made anew from there on. A lost head breaks it off: nothing held what it
    took up. What the witness has otherwise is not proven by a head that leads past it.
    """

    def __init__(self, head: Head | None, claims: Mapping[int, str]) -> None:
        self.head, self.claims = head, claims
        self.run, self.tip = Proven(0, 0), GENESIS
        self.start = 0
        self.is_denied = False
        self.by_head: tuple[Proven, int] | None = None
        self.by_witness: tuple[Proven, int] | None = None
        self.attested = self.denied = self.newest = 0
        self.has_repeats = False

    def take(self, nth: int, number: int, record: Record) -> None:
        """Take the nth record, which is on this line of all."""
        seq = record["seq"]
        if nth == 1 or record["event"] == HEAD_LOST or not self.tip.precedes(record):
            self.run, self.start, self.is_denied = Proven(seq, seq, nth - 1), number, False
        self.run, self.tip = self.run._replace(last=seq), Head.of(record)
        self.has_repeats, self.newest = self.has_repeats or seq <= self.newest, max(self.newest, seq)
        if self.claims:
            self._compare(seq, record["hash"])
        is_first = self.by_head is None or self.run.first < self.by_head[0].first
        if self.tip == self.head and is_first and not self.is_denied:
            self.by_head = self.run, self.start

    def _compare(self, seq: int, digest: str) -> None:
        claim = self.claims.get(seq)
        if claim not in (None, digest):
            self.is_denied, self.denied = True, self.denied or seq
        elif claim and not self.is_denied:
            self.attested = max(self.attested, seq)
            if self.by_witness is None or seq > self.by_witness[0].last:
                self.by_witness = self.run, self.start

    @property
    def proven(self) -> Proven | None:
        found = self.by_head or self.by_witness
        return found[0] if found else None

    @property
    def began(self) -> int:
        """Which line of all the proven ones begin on, 0 where there are none."""
        found = self.by_head or self.by_witness
        return found[1] if found else 0

    def denial(self) -> str:
        """What the witness has otherwise, "" where nothing: what is missing here is no denial."""
        told = max(self.claims, default=0)
        if self.denied:
            return f"it has another hash for record {self.denied}"
        if self.head and told > max(self.head.seq, self.attested):
            return f"it knows record {told}, and the head is at record {self.head.seq}"
        return ""


class _Search:
    """A second pass: where a stray record belongs, and where the one is that is due in its place."""

    def __init__(self, walk: Walk, fault: Fault | None) -> None:
        self.trusted, self.head = walk.trusted, walk.head
        self.voucher = None if walk.is_vouched else Voucher(walk.start, walk.head)
        self.fault = fault
        self.stray = fault.stray if fault else None
        self.number = fault.number if fault else 0
        self.places = Places()
        self.records = 0
        self.twin = 0
        self.due_at = 0
        self.beginning = 0
        self.belongs = bool(self.stray and self.head == Head.of(self.stray))
        self.reached: Head | None = None
        self.runs = _Runs(walk.head, walk.claims)

    @property
    def is_vouched(self) -> bool:
        return self.voucher is None or self.voucher.seq is not None

    def note(self, line: Line) -> None:
        number = self.places.note(line)
        record = line.record
        if record is None:
            return
        self.records += 1
        self.runs.take(self.records, number, record)
        if self.voucher:
            self.voucher.hear(record)
            self.beginning = self.beginning or (number if GENESIS.precedes(record) else 0)
        if self.stray:
            self._seek(number, record, self.stray)

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

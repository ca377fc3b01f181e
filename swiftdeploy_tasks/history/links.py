"""Follows the links of the chain: the first bad line, and the records that are linked to the head."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from swiftdeploy_tasks.history import chain
from swiftdeploy_tasks.history.chain import CLOSING, DROPPED, GENESIS, HEAD_LOST, ROTATED, Head, Line, Record

# No record has room to close off more torn lines than this, at 88 bytes each.
MOST_TORN = chain.MAX_LINE // 88


class Proven(NamedTuple):
    """The verified records: the seq of the first and of the last, and how many records stand before them."""

    first: int
    last: int
    before: int = 0

    def holds(self, nth: int, seq: int) -> bool:
        """Whether the nth record of all, which has this seq, is one of them."""
        return self.first <= seq <= self.last and seq - self.first == nth - self.before - 1

    def __str__(self) -> str:
        return _records(self.first, self.last)


class Bad(NamedTuple):
    """The first bad line; where records are missing, the line where they should stand."""

    file: Path | None
    line: int
    reason: str


def _bad(line: Line, reason: str = "") -> Bad:
    return Bad(line.file, line.number, reason or line.problem or "does not end in a newline")


class Links:
    """Takes the lines, oldest first, and keeps the first bad one and what the head proves."""

    def __init__(self, head: Head | None, claims: Mapping[int, str]) -> None:
        self.head, self.claims = head, claims
        self.proof = Proof(claims)
        self.start = self.tip = GENESIS
        self.records = 0
        self.bad: Bad | None = None
        self.dropped_by: int | None = None
        # The lines that are not records, until the next record closes them off.
        self.torn: list[Line] = []
        self.torn_lines = self.torn_bytes = self.times_back = 0
        self._first: Line | None = None
        self._last: Line | None = None
        self._last_record: Line | None = None
        self._denied_at: Line | None = None
        self._rival: tuple[int, Bad] | None = None
        self._time, self._is_after_rotation = "", False

    def take(self, line: Line) -> None:
        """Take the next line."""
        self._first, self._last = self._first or line, line
        record = line.record
        if record and (line.terminated or self._is_at_head(record)):
            self.bad = self.bad or self._fault(line, record)
            self._take_record(line, record)
        elif not self.bad:
            self.torn.append(line)
            self.bad = _bad(self.torn[0]) if len(self.torn) > MOST_TORN else None

    def _fault(self, line: Line, record: Record) -> Bad | None:
        torn, self.torn = self.torn, []
        if torn or record["event"] in CLOSING:
            if [(one.size, one.digest) for one in torn] != chain.closed_off_by(record):
                return (
                    _bad(torn[0]) if torn else _bad(line, "names half-written lines that are not before it")
                )
            self.torn_lines += len(torn)
            self.torn_bytes += sum(one.size for one in torn)
        seq = record["seq"]
        if not self.records and seq > 1:
            self.start = self.tip = Head(seq - 1, record["prev"])
        if not self.tip.precedes(record):
            self._note_rival(record)
            return _bad(torn[0] if torn else line, f"record {seq} does not follow record {self.tip.seq}")
        if record["event"] == HEAD_LOST:
            return _bad(line, "the head was lost before this record; the one before it cannot be verified")
        if self.head and seq >= self.head.seq:
            return self._fault_at_head(line, record, self.head)
        return None

    def _fault_at_head(self, line: Line, record: Record, head: Head) -> Bad | None:
        if self._is_at_head(record):
            return None if line.terminated or record["seq"] > head.seq else _bad(line)
        if record["seq"] == head.seq:
            return _bad(line, "its hash differs from the head's")
        return _bad(line, f"record {record['seq']} is past the head, and no append adopts it")

    def _is_at_head(self, record: Record) -> bool:
        """Whether this is the record that the head names, or the one that a crash left past it."""
        return Head.of(record) == self.head or is_adoptable(record, self.head)

    def _note_rival(self, record: Record) -> None:
        """Note the record before: it is the bad one where this one proves to be linked to the head."""
        seq = record["seq"]
        if self._last_record and self.tip != Head.of(record) and self.tip.seq in (seq, seq - 1):
            reason = f"is not linked to the head, and record {seq} after it is"
            self._rival = self.records, _bad(self._last_record, reason)

    def _take_record(self, line: Line, record: Record) -> None:
        tip, event, time = Head.of(record), record["event"], record["time"]
        if not (self.records and self.tip.precedes(record)) or event == HEAD_LOST:
            self.proof.begin_run(record, before=self.records)
        if self.claims:
            self.proof.compare(tip)
        if tip == self.head:
            self.proof.take_head(tip)
        if self.proof.denied is not None and not self._denied_at:
            self._denied_at = line
        if event == DROPPED and self._is_after_rotation:
            self._take_dropped(record)
        else:
            self._is_after_rotation = event == ROTATED
        self.times_back += time < self._time
        self.tip, self.records, self._last_record, self._time = tip, self.records + 1, line, time

    def _take_dropped(self, record: Record) -> None:
        """Note a record that the head covers and that says that the records before the first were dropped."""
        is_covered = self.head is not None and record["seq"] <= self.head.seq
        if is_covered and self.start != GENESIS and chain.dropped_by(record) == self.start:
            self.dropped_by = record["seq"]

    def first_bad(self, current_file: Path | None, file_before: Path | None) -> Bad | None:
        """The first bad line of all lines."""
        if self._first and self.start != GENESIS and not self.dropped_by:
            gone = _records(1, self.start.seq)
            reason = f"missing: {gone}, and no verified record says that age dropped them"
            return Bad(file_before or self._first.file, 1, reason)
        if self._rival and self.proof.by_head and self.proof.by_head.before == self._rival[0]:
            return self._rival[1]
        return self.bad or self._bad_end(current_file)

    def _bad_end(self, current_file: Path | None) -> Bad | None:
        head, torn, last = self.head, self.torn, self._last
        if torn and (torn[0].terminated or not head or self.tip.seq < head.seq):
            return _bad(torn[0])
        end = Bad(current_file, 1, "")
        if last and current_file in (None, last.file):
            end = Bad(last.file, last.number + 1, "")
        if last and not head:
            return end._replace(reason="head missing: the last record cannot be verified")
        if head and self.tip.seq < head.seq:
            missing = _records(self.tip.seq + 1, head.seq)
            return end._replace(reason=f"truncated: missing {missing}")
        if not self.denial:
            return None
        reason = self.denial.replace("it", "the witness", 1)
        return _bad(self._denied_at, reason) if self._denied_at else end._replace(reason=reason)

    @property
    def denial(self) -> str:
        """How the witness contradicts the history, "" where it does not."""
        if self.proof.denied is not None:
            return f"it has another hash for record {self.proof.denied}"
        known, end = max(self.claims, default=0), self.head.seq if self.head else self.tip.seq
        if known > max(end, self.proof.agrees):
            return f"it has record {known}, and the history ends at record {end}"
        return ""


class Proof:
    """The unbroken run of links that ends at the head, or else at a head that the witness has.

    A hash covers all records before its own, so a run is proven from its end. A lost head breaks a run, and
    the head proves no run in which the witness has another hash.
    """

    def __init__(self, claims: Mapping[int, str]) -> None:
        self.claims = claims
        self.by_head: Proven | None = None
        self.by_witness: Proven | None = None
        self.agrees = 0
        self.denied: int | None = None
        self._run, self._is_denied = Proven(0, 0), False

    def begin_run(self, record: Record, *, before: int) -> None:
        """Begin a run with this record, which has so many records before it."""
        seq, prev = record["seq"], record["prev"]
        self._run, self._is_denied = Proven(seq, seq, before), False
        if self.claims.get(seq - 1, prev) != prev:
            self._deny(seq - 1)

    def compare(self, tip: Head) -> None:
        """Compare the newest record of the run with what the witness has."""
        claim = self.claims.get(tip.seq)
        if claim not in (None, tip.hash):
            self._deny(tip.seq)
        elif claim and not self._is_denied:
            self.agrees = max(self.agrees, tip.seq)
            if not self.by_witness or tip.seq > self.by_witness.last:
                self.by_witness = self._run._replace(last=tip.seq)

    def take_head(self, tip: Head) -> None:
        """End the run at the head."""
        if not self._is_denied and (not self.by_head or self._run.first < self.by_head.first):
            self.by_head = self._run._replace(last=tip.seq)

    def _deny(self, seq: int) -> None:
        self._is_denied = True
        self.denied = seq if self.denied is None else self.denied


def is_adoptable(record: Record, head: Head | None) -> bool:
    """Whether `record` follows the head, as a crash between its line and its head leaves one."""
    return bool(head and head.precedes(record) and chain.is_sealed(record))


def _records(first: int, last: int) -> str:
    return f"record {first}" if first == last else f"records {first} to {last}"

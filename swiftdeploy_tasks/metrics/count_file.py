"""Reads the file in which nginx counts the requests of a watched change, and adds them up by slot.

An attempt belongs to the old slot when it went to the old slot's address, else to the new one. A request that
nginx retried counts for both: as an error for the slot that failed.
"""

from __future__ import annotations

import collections
import copy
import re
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from swiftdeploy_tasks.metrics.slot_tally import BOUNDS, GAVE_UP, SlotTally, split_list

# A request that is younger is on its way.
WAITING = 1.0
_CHUNK = 4 << 20
_NO_ANSWER, _BAD_ANSWER = 499, 502
# nginx's error log about an answer whose body the app did not end, with the address of the slot.
_BROKEN_OFF = re.compile(rb' while reading upstream,.* upstream: "https?://([^/"]+)')


@dataclass(frozen=True)
class Attempt:
    """One try of a request at one slot; `header_s` is None where no answer began."""

    address: str
    status: int
    header_s: float | None
    waited_s: float
    is_last: bool

    @property
    def is_error(self) -> bool:
        """Whether the slot failed it: a retry, 5xx, no answer, or a client that gave up waiting."""
        if not self.is_last or self.status >= 500:
            return True
        return self.header_s is None and (self.status != _NO_ANSWER or self.waited_s >= GAVE_UP)

    @property
    def is_abandoned(self) -> bool:
        """Whether the client left before the slot had time to answer."""
        return self.is_last and self.status == _NO_ANSWER and self.header_s is None and not self.is_error


class Counter:
    """The counts of both slots over the generations of one change."""

    def __init__(self, old_address: str) -> None:
        self.old_address = old_address
        self.old, self.new = SlotTally(), SlotTally()
        self.probes = 0
        self._file: BinaryIO | None = None
        self._errors: BinaryIO | None = None
        self._rest = self._rest_of_errors = b""
        self._share, self._new_slot = 0, ""
        self._begun: dict[str, tuple[float, str]] = {}
        self._given = collections.Counter[str]()
        self._first_at_new = 0

    @property
    def requests(self) -> int:
        """How many requests of clients were seen, answered or not."""
        both = (self.old, self.new)
        return sum(tally.ok + tally.errors for tally in both) + len(self._begun)

    def follow(self, path: Path, share: int, new_slot: str) -> None:
        """Read this file from now on: `new_slot` has `share` percent while it is written."""
        self.close()
        self._file, self._share, self._new_slot = path.open("rb"), share, new_slot
        self._errors = path.with_name(f"{path.name}.errors").open("rb")
        self._rest = self._rest_of_errors = b""
        self._begun, self._given = {}, collections.Counter()
        self._first_at_new = 0

    def close(self) -> None:
        """Close the files that are read."""
        for file in (self._file, self._errors):
            if file:
                file.close()
        self._file = self._errors = None

    def tallies(self) -> tuple[SlotTally, SlotTally]:
        """Return copies of the tallies of the old and the new slot."""
        return copy.deepcopy((self.old, self.new))

    def read(self) -> None:
        """Take in what was written since the last call."""
        while self._errors and (chunk := self._errors.read(_CHUNK)):
            *lines, self._rest_of_errors = (self._rest_of_errors + chunk).split(b"\n")
            for line in lines:
                if found := _BROKEN_OFF.search(line):
                    self._break_off(found[1].decode("ascii", "replace"))
        while self._file and (chunk := self._file.read(_CHUNK)):
            *lines, self._rest = (self._rest + chunk).split(b"\n")
            for line in lines:
                self._take(line.decode("utf-8", "replace").split("\t"))

    def begun_before(self, time: float) -> int:
        """Return how many requests began before `time` (unix seconds) and have no answer yet."""
        return sum(1 for at, _ in self._begun.values() if at <= time)

    def waiting_at_new(self, before: float) -> tuple[int, int]:
        """Return how many requests to the new slot began before then and are unanswered, and how many it got.

        nginx logs the slot of such a request only where clients stick to one. Else the split is exact, so the
        new slot has the requests of its share that it has not answered.
        """
        if "" not in self._given:
            late_at = [slot for at, slot in self._begun.values() if at <= before]
            return late_at.count(self._new_slot), self._given[self._new_slot]
        late = self.begun_before(before)
        given = round(self._given[""] * self._share / 100)
        if self._share == 100 or not late:
            return late, given
        under_way = max(0, given - self._first_at_new)
        return min(late, round(late * under_way / len(self._begun))), given

    def _take(self, words: list[str]) -> None:
        if len(words) in (4, 5) and words[0] == "begun":
            _, request, by, at, *chosen = words
            if by == "client":
                slot = "".join(chosen)
                self._begun[request] = (_seconds(at) or 0.0, slot)
                self._given[slot] += 1
        elif len(words) == 9 and words[0] == "answered":
            _, request, by, _, status, *lists = words
            if by != "client":
                self.probes += 1
                return
            self._begun.pop(request, None)
            tried = attempts(status, *lists)
            if tried and tried[0].address != self.old_address:
                self._first_at_new += 1
            for attempt in tried:
                self._count(attempt)

    def _tally(self, address: str) -> SlotTally:
        return self.old if address == self.old_address else self.new

    def _break_off(self, address: str) -> None:
        tally = self._tally(address)
        tally.errors += 1
        tally.broken_off += 1

    def _count(self, attempt: Attempt) -> None:
        if attempt.is_abandoned:
            return
        tally = self._tally(attempt.address)
        if attempt.is_error:
            tally.errors += 1
        elif tally.broken_off:
            tally.broken_off -= 1
        else:
            tally.ok += 1
            tally.client_errors += 400 <= attempt.status < 500
        took = attempt.waited_s if attempt.header_s is None else attempt.header_s
        tally.buckets[next((i for i, bound in enumerate(BOUNDS) if took <= bound), len(BOUNDS))] += 1


def attempts(status: str, addresses: str, statuses: str, headers: str, responses: str) -> list[Attempt]:
    """Return the attempts of one request from nginx's lists; empty where it went to no slot."""
    if addresses in ("", "-"):
        return []
    columns = [split_list(text) for text in (addresses, statuses, headers, responses)]
    last = len(columns[0]) - 1
    found = []
    for index, (address, own, header, response) in enumerate(zip(*columns, strict=False)):
        code = int(own) if own.isdigit() else int(status) if status.isdigit() else 500
        if index == last and (status == str(_NO_ANSWER) or not _is_status(status)):
            # A client that left, or an answer that is not HTTP, which nginx passes on as status 009.
            code = _NO_ANSWER if status == str(_NO_ANSWER) else _BAD_ANSWER
        found.append(Attempt(address, code, _seconds(header), _seconds(response) or 0.0, index == last))
    return found


def _is_status(text: str) -> bool:
    return text.isdigit() and 100 <= int(text) <= 599


def _seconds(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None

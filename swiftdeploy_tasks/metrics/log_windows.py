"""Windows of each slot from nginx's access log, added up by whole second.

The latency of a request is nginx's `$request_time`: until the client has the whole answer. The latency of a
retried request counts for the slot that failed it, that of an upgraded connection (101) is left out.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from swiftdeploy_tasks.metrics.slot_tally import BOUNDS, GAVE_UP, Counted, SlotTally, counted, split_list

# How late nginx may write a line to the log, in seconds.
LATE = 3.0
_UPGRADED, _CLIENT_LEFT = 101, 499
_Seconds = dict[int, dict[str, SlotTally]]


@dataclass(frozen=True)
class AccessLog:
    """Lines of nginx's access log, complete from `since` to `until` (unix seconds)."""

    lines: tuple[str, ...]
    since: float
    until: float


def first_whole_second(lines: Iterable[str], *, otherwise: float) -> float:
    """Return the first complete second of a log whose earlier lines were not read."""
    return next((at + 1.0 for line in lines if (at := second_of(line)) is not None), otherwise)


def second_of(line: str) -> int | None:
    """Return the second in which the line was logged, None for a line in another form."""
    text, mark, _ = line.partition(" | ")
    return _unix_second(text) if mark else None


class LogWindows:
    """Adds up successive reads of the log; a line that two reads have counts once."""

    def __init__(self) -> None:
        self._seconds: _Seconds = {}
        self._since, self._until = 0.0, -math.inf

    def seconds_to_read(self, seconds: float, *, now: float) -> float:
        """Return how many seconds the next read must cover for a window of `seconds`."""
        age = now - self._until
        return age + LATE if 0 <= age < seconds else seconds + 1

    def add(self, log: AccessLog, *, leave_out: str, keep: float) -> None:
        """Count the lines of a read, without requests of the path `leave_out`; forget after `keep` seconds.

        The larger of two counts of one second is kept, because a second only gains lines. After a gap between
        two reads the earlier one is forgotten.
        """
        start = math.ceil(log.since)
        if not start <= self._until <= log.until:
            self._seconds, self._since = {}, start
        self._since = max(min(self._since, start), math.floor(log.until - keep))
        for second, slots in _added_up(log.lines, start, leave_out).items():
            known = self._seconds.setdefault(second, {})
            for address, tally in slots.items():
                if address not in known or tally.requests > known[address].requests:
                    known[address] = tally
        self._seconds = {second: of for second, of in self._seconds.items() if second >= self._since}
        self._until = log.until

    def of_slot(self, address: str, *, seconds: float, started: float = 0.0) -> Counted | None:
        """Return what the slot at `address` answered in the last `seconds`, or since it `started`.

        The window is shorter where less of the log was read; None where nothing was.
        """
        start = max(math.floor(self._until - seconds), self._since, math.floor(started))
        length = self._until - max(start, started)
        if length <= 0:
            return None
        total = SlotTally()
        for second, slots in self._seconds.items():
            if second >= start and address in slots:
                total.add(slots[address])
        return counted((self._until - length, SlotTally()), (self._until, total))


def _added_up(lines: Iterable[str], start: int, leave_out: str) -> _Seconds:
    """Count the lines of each second from `start` on."""
    found: _Seconds = defaultdict(lambda: defaultdict(SlotTally))
    for line in lines:
        second = second_of(line)
        if second is None or second < start:
            continue
        words = line.split(" | ", 4)
        if len(words) != 5 or words[3] == "-" or (leave_out and _path(words[4]) == leave_out):
            continue
        took = _duration(words[2])
        if took is not None:
            _count(found[second], split_list(words[3]), words[1], took)
    return found


def _count(slots: dict[str, SlotTally], tried: Sequence[str], status: str, took: float) -> None:
    """Count one request for each slot that it was passed to; `status` is the last slot's answer."""
    *failed, last = tried
    bucket = bisect_left(BOUNDS, took)
    for address in failed:
        slots[address].errors += 1
        slots[address].buckets[bucket] += 1
    # An answer that is not HTTP is passed on as status 009.
    code = int(status) if status.isdigit() and 100 <= int(status) <= 599 else 502
    has_left = code == _CLIENT_LEFT
    if has_left and took < GAVE_UP:
        return
    tally = slots[last]
    if code >= 500 or has_left:
        tally.errors += 1
    else:
        tally.ok += 1
        tally.client_errors += code >= 400
    if not failed and code != _UPGRADED:
        tally.buckets[bucket] += 1


def _path(request: str) -> str:
    words = request.split(" ", 2)
    return words[1].partition("?")[0] if len(words) > 1 else ""


def _duration(text: str) -> float | None:
    try:
        return float(text.removesuffix("s"))
    except ValueError:
        return None


@lru_cache(maxsize=4096)
def _unix_second(text: str) -> int | None:
    try:
        return int(datetime.fromisoformat(text).timestamp())
    except ValueError:
        return None

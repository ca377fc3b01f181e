"""The stretch of time that a chart covers, and what it leaves out.

One wrong clock must not make every chart useless. Memory is bounded.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

JUMP = 30 * 86_400.0
PART = 0.1
MOST_PARTS = 20


@dataclass(frozen=True)
class Stretch:
    """The time that is drawn, in Unix seconds, and how many records of the period lie outside of it.

    `jumps` are the (from, to) that no record lies between, where the drawn ends.
    """

    start: float
    end: float
    left_out: int = 0
    jumps: tuple[tuple[float, float], ...] = ()


class Times:
    """The times of the records of a period, in parts between which there is nothing for more than JUMP."""

    def __init__(self, since: float, until: float) -> None:
        self._since, self._until = since, until
        self._parts: list[_Part] = []
        self._is_earlier = self._is_later = False

    def take(self, at: float) -> None:
        """Take the time of one more record, of the period or not."""
        if not self._since <= at <= self._until:
            self._is_earlier |= at < self._since
            self._is_later |= at > self._until
            return
        last = self._parts[-1] if self._parts else None
        if last is None or not last.is_near(at):
            last = self._part(at)
        last.take(at)

    def stretch(self) -> Stretch | None:
        """Return what is drawn: all, or the part with the most records where a jump would hide the rest.

        Where the history goes on beyond the period that was asked for, it reaches to the period's end.
        """
        if not self._parts:
            return None
        parts = _joined(self._parts)
        start = min(self._since, parts[0].first) if self._is_earlier else parts[0].first
        end = max(self._until, parts[-1].last) if self._is_later else parts[-1].last
        parts[0].first, parts[-1].last = start, end
        whole, jumps = parts, []
        while (place := _jump(parts)) is not None:
            sides = parts[: place + 1], parts[place + 1 :]
            jumps.append((sides[0][-1].last, sides[1][0].first))
            parts = max(reversed(sides), key=lambda side: sum(part.count for part in side))
        out = sum(part.count for part in whole) - sum(part.count for part in parts)
        return Stretch(parts[0].first, parts[-1].last, out, tuple(sorted(jumps)))

    def _part(self, at: float) -> _Part:
        """The part that the time belongs to, made where there is none yet and room for one."""
        near = next((part for part in self._parts if part.is_near(at)), None)
        if near is None and len(self._parts) >= MOST_PARTS:
            near = min(self._parts, key=lambda part: part.distance(at))
        if near:
            self._parts.remove(near)
        self._parts.append(near or _Part(at))
        return self._parts[-1]


class _Part:
    """Records that lie close to each other."""

    def __init__(self, at: float) -> None:
        self.first = self.last = at
        self.count = 0

    def is_near(self, at: float) -> bool:
        return self.first - JUMP <= at <= self.last + JUMP

    def distance(self, at: float) -> float:
        return max(self.first - at, at - self.last)

    def take(self, at: float) -> None:
        self.first, self.last = min(self.first, at), max(self.last, at)
        self.count += 1


def _joined(parts: list[_Part]) -> list[_Part]:
    """The parts in the order of time; those that came to touch are one."""
    joined: list[_Part] = []
    for part in sorted(parts, key=lambda part: part.first):
        if joined and joined[-1].is_near(part.first):
            joined[-1].last = max(joined[-1].last, part.last)
            joined[-1].count += part.count
        else:
            joined.append(part)
    return joined


def _jump(parts: list[_Part]) -> int | None:
    """The place of the part after which comes the widest gap, where all the rest is small beside it."""
    gaps = [later.first - part.last for part, later in pairwise(parts)]
    widest = max(gaps, default=-math.inf)
    if widest <= JUMP or parts[-1].last - parts[0].first - widest >= PART * widest:
        return None
    return gaps.index(widest)

"""How is much kept in little room: the newest rows, the percentiles, a series with its peaks?

Stands apart because a report over a long history must not grow with it. Each of these takes one value at a
time and holds a bounded amount, whatever comes.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from dataclasses import replace
from typing import Generic, TypeVar

from swiftdeploy_tasks.report.story import Point, Rows, Series

Row = TypeVar("Row")

MOST_POINTS = 1000
SHORTEST_GAP = 30.0
MISSED = 3.0


class Newest(Generic[Row]):
    """The last rows of many."""

    def __init__(self, most: int) -> None:
        self._rows: deque[Row] = deque(maxlen=most)
        self.taken = 0

    def take(self, row: Row) -> None:
        """Take one more; the oldest goes where there is no room."""
        self.taken += 1
        self._rows.append(row)

    def rows(self) -> Rows[Row]:
        """Return what is left, and how many went."""
        return Rows(tuple(self._rows), self.taken - len(self._rows))


class Figures:
    """The percentiles of many figures, to three significant digits."""

    def __init__(self) -> None:
        self._seen: Counter[float] = Counter()

    def take(self, figure: float) -> None:
        """Take one more, from 0; one that is no such figure is left out."""
        if 0 <= figure < 1e12:
            self._seen[float(f"{max(figure, 1e-6):.3g}")] += 1

    @property
    def count(self) -> int:
        """How many there were."""
        return self._seen.total()

    def percentile(self, percent: float) -> float | None:
        """Return the smallest figure that so many percent do not exceed, None without any."""
        rank = math.ceil(self.count * percent / 100)
        reached = 0
        for figure in sorted(self._seen):
            reached += self._seen[figure]
            if reached >= rank:
                return figure
        return None


class Thinned:
    """The scrapes of one slot, drawn together as they become too many; rates are averaged, peaks kept."""

    def __init__(self, slot: str) -> None:
        self.slot = slot
        self._scrapes = 0
        self._width = 1.0
        self._last = -math.inf
        self._apart: deque[float] = deque(maxlen=2)
        self._held: dict[int, tuple[Point, int]] = {}

    def take(self, point: Point) -> None:
        """Take one more; a gap is before it when it comes much later than those before it came."""
        self._scrapes += 1
        apart = point.at - self._last
        allowed = max(SHORTEST_GAP, MISSED * min(self._apart, default=0.0))
        self._last = point.at
        if 0 <= apart < math.inf:
            self._apart.append(apart)
        self._put(replace(point, gap=not 0 <= apart <= allowed), 1)
        while len(self._held) > MOST_POINTS:
            self._width *= 2
            held, self._held = self._held, {}
            for place in sorted(held):
                self._put(*held[place])

    def series(self) -> Series:
        """Return what is left, in the order of time."""
        return Series(self.slot, tuple(self._held[place][0] for place in sorted(self._held)), self._scrapes)

    def _put(self, point: Point, count: int) -> None:
        place = math.floor(point.at / self._width)
        there = self._held.get(place)
        self._held[place] = (_together(*there, point, count), there[1] + count) if there else (point, count)


def _together(one: Point, ones: int, other: Point, others: int) -> Point:
    rates = [(point.rate, count) for point, count in ((one, ones), (other, others)) if point.rate is not None]
    total = sum(count for _, count in rates)
    return replace(
        other,
        at=min(one.at, other.at),
        until=max(one.until, other.until),
        rate=sum(rate * count for rate, count in rates) / total if total else None,
        peak_rate=_worst(one.peak_rate, other.peak_rate),
        error_rate=_worst(one.error_rate, other.error_rate),
        p99_ms=_worst(one.p99_ms, other.p99_ms),
        chaos=other.chaos or one.chaos,
        gap=one.gap,
    )


def _worst(*figures: float | None) -> float | None:
    return max((figure for figure in figures if figure is not None), default=None)

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
    """The scrapes of one slot, drawn together as they become too many; rates are averaged, peaks kept.

    What is drawn together never reaches over a gap: of a stretch that holds one, there are two parts.
    """

    def __init__(self, slot: str) -> None:
        self.slot = slot
        self._scrapes = 0
        self._width = 1.0
        self._before: Point | None = None
        self._apart: deque[float] = deque(maxlen=2)
        self._held: dict[tuple[int, int], _Drawn] = {}

    def take(self, point: Point) -> None:
        """Take one more.

        A gap is before it when it comes much later than those before it came, when the slot holds another
        release than before, and when nothing was known, or nobody was there, at the scrape before.
        """
        self._scrapes += 1
        before, self._before = self._before, point
        self._put(_Drawn(point, is_after_gap=before is None or not self._joins(before, point)))
        while len(self._held) > MOST_POINTS:
            self._width *= 2
            held, self._held = self._held, {}
            for place in sorted(held):
                self._put(held[place])

    def miss(self) -> None:
        """Hear that a scrape found the slot empty: no line goes on over it."""
        self._before = None

    def series(self) -> Series:
        """Return what is left, in the order of time."""
        return Series(self.slot, tuple(self._held[n].point() for n in sorted(self._held)), self._scrapes)

    def _joins(self, before: Point, point: Point) -> bool:
        apart = point.at - before.at
        allowed = max(SHORTEST_GAP, MISSED * min(self._apart, default=0.0))
        if apart >= 0:
            self._apart.append(apart)
        is_known_anew = before.rate is None and point.rate is not None
        return 0 <= apart <= allowed and point.release == before.release and not is_known_anew

    def _put(self, drawn: _Drawn) -> None:
        place = math.floor(drawn.at / self._width)
        first, second = self._held.get((place, 0)), self._held.get((place, 1))
        if first is None:
            self._held[place, 0] = drawn
        elif second is None and drawn.is_after_gap:
            self._held[place, 1] = drawn
        else:
            (second or first).add(drawn)


class _Drawn:
    """Points that are drawn as one: the last of them, with the sum of the rates and the worst of the rest.

    Those before a gap lend their figures to those after it, and not their time.
    """

    __slots__ = (
        "at",
        "chaos",
        "error_rate",
        "is_after_gap",
        "last",
        "p99_ms",
        "peak",
        "rated",
        "rates",
        "until",
    )

    def __init__(self, point: Point, *, is_after_gap: bool) -> None:
        self.last, self.is_after_gap = point, is_after_gap
        self.at, self.until = point.at, point.until
        self.rates, self.rated = point.rate or 0.0, int(point.rate is not None)
        self.peak, self.error_rate, self.p99_ms = point.peak_rate, point.error_rate, point.p99_ms
        self.chaos = point.chaos

    def add(self, later: _Drawn) -> None:
        self.last = later.last
        if later.is_after_gap:
            self.at, self.until = later.at, later.until
        self.at, self.until = min(self.at, later.at), max(self.until, later.until)
        self.rates, self.rated = self.rates + later.rates, self.rated + later.rated
        self.peak = _worst(self.peak, later.peak)
        self.error_rate = _worst(self.error_rate, later.error_rate)
        self.p99_ms = _worst(self.p99_ms, later.p99_ms)
        self.chaos = later.chaos or self.chaos

    def point(self) -> Point:
        return replace(
            self.last,
            at=self.at,
            until=self.until,
            rate=self.rates / self.rated if self.rated else None,
            peak_rate=self.peak,
            error_rate=self.error_rate,
            p99_ms=self.p99_ms,
            chaos=self.chaos,
            gap=self.is_after_gap,
        )


def _worst(one: float | None, other: float | None) -> float | None:
    if one is None or other is None:
        return other if one is None else one
    return max(one, other)

"""Collectors in bounded memory: newest rows, percentiles, series with their peaks, events.

A report does not grow with the length of its history.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Generic, TypeVar

from swiftdeploy_tasks.report.course import Point, Series, Share, Sign
from swiftdeploy_tasks.report.story import Rows

Row = TypeVar("Row")

MOST_POINTS = 1000
SHORTEST_GAP = 30.0
MISSED = 3.0
FINEST = 1 / 64
MOST_SIGNS = 250
MOST_SHARES = 1000
MOST_SLOTS = 4
SETTLED = 2.0


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
    """The scrapes of one slot, drawn together as they become too many; peaks and drops are kept.

    What is drawn together never reaches over a gap: of a stretch that holds one, there are two parts.
    """

    def __init__(self, slot: str) -> None:
        self.slot = slot
        self._scrapes = self.odd = 0
        self._width = FINEST
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
        return Series(
            self.slot, tuple(self._held[n].point() for n in sorted(self._held)), self._scrapes, self.odd
        )

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
        "low",
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
        self.low, self.peak = point.low_rate, point.peak_rate
        self.error_rate, self.p99_ms = point.error_rate, point.p99_ms
        self.chaos = point.chaos

    def add(self, later: _Drawn) -> None:
        self.last = later.last
        if later.is_after_gap:
            self.at, self.until = later.at, later.until
        self.at, self.until = min(self.at, later.at), max(self.until, later.until)
        self.rates, self.rated = self.rates + later.rates, self.rated + later.rated
        self.low, self.peak = _least(self.low, later.low), _worst(self.peak, later.peak)
        self.error_rate = _worst(self.error_rate, later.error_rate)
        self.p99_ms = _worst(self.p99_ms, later.p99_ms)
        self.chaos = later.chaos or self.chaos

    def point(self) -> Point:
        return self.last._replace(
            at=self.at,
            until=self.until,
            rate=self.rates / self.rated if self.rated else None,
            low_rate=self.low,
            peak_rate=self.peak,
            error_rate=self.error_rate,
            p99_ms=self.p99_ms,
            chaos=self.chaos,
            gap=self.is_after_gap,
        )


def _worst(one: float | None, other: float | None) -> float | None:
    return _known(max, one, other)


def _least(one: float | None, other: float | None) -> float | None:
    return _known(min, one, other)


def _known(choose: Callable[[float, float], float], one: float | None, other: float | None) -> float | None:
    if one is None or other is None:
        return other if one is None else one
    return choose(one, other)


class Signs:
    """What happened, of each kind as few signs as a picture can tell apart; all of it is counted."""

    def __init__(self) -> None:
        self._held: dict[tuple[str, bool], dict[int, Sign]] = {}
        self._width: dict[tuple[str, bool], float] = {}

    def take(self, sign: Sign) -> None:
        """Take one more."""
        key = sign.kind, sign.is_bad
        held, width = self._held.setdefault(key, {}), self._width.setdefault(key, FINEST)
        _add(held, sign, width)
        while len(held) > MOST_SIGNS:
            width = self._width[key] = 2 * width
            signs = list(held.values())
            held.clear()
            for one in signs:
                _add(held, one, width)

    def signs(self) -> tuple[Sign, ...]:
        """Return what is left, in the order of time."""
        return tuple(sorted((one for held in self._held.values() for one in held.values()), key=_began))


def _add(held: dict[int, Sign], sign: Sign, width: float) -> None:
    place = math.floor(sign.at / width)
    there = held.get(place)
    if there is None:
        held[place] = sign
        return
    at, until = min(there.at, sign.at), max(there.until, sign.until)
    held[place] = replace(there, at=at, until=until, count=there.count + sign.count)


def _began(sign: Sign) -> float:
    return sign.at


class Shares:
    """What each slot got over time, as changes set it and scrapes found it, its lowest and highest kept.

    A scrape is on record a moment after its look, when a change may have set other shares; so for SETTLED
    seconds it is believed only where it found a slot gone.
    """

    def __init__(self) -> None:
        self._now: dict[str, float] = {}
        self._noted: dict[str, float] | None = None
        self._set_at = -math.inf
        self._lines: dict[str, list[tuple[float, float]]] = {}

    def set(self, at: float, shares: Mapping[str, float], *, is_told: bool) -> None:
        """Hear what a change has set; `is_told` where it is in the period."""
        self._set_at, self._now = at, dict(shares)
        if is_told:
            self.note(at)

    def found(self, at: float, shares: Mapping[str, float | None]) -> None:
        """Hear what a scrape found, None for a slot that was not there."""
        there = {slot: share for slot, share in shares.items() if share is not None}
        if 0 <= at - self._set_at <= SETTLED:
            there = {slot: share for slot, share in self._now.items() if shares.get(slot, share) is not None}
        if there != self._now:
            self._now = there

    def note(self, at: float) -> None:
        """Put down what holds now, where that is news."""
        if self._now is self._noted:
            return
        self._noted = self._now
        new = [slot for slot in self._now if slot not in self._lines]
        for slot in [*self._lines, *new[: MOST_SLOTS - len(self._lines)]]:
            line, share = self._lines.setdefault(slot, []), self._now.get(slot, 0.0)
            if not line or line[-1][1] != share:
                line.append((at, share))
            if len(line) > 2 * MOST_SHARES:
                self._lines[slot] = _thinned(line)

    def shares(self) -> tuple[Share, ...]:
        """Return what is left, by slot, in the order of time; of one moment, as they were heard."""
        return tuple(Share(slot, tuple(sorted(self._lines[slot], key=_time))) for slot in sorted(self._lines))


def _thinned(line: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """A quarter as many times; of each, the first, the lowest, the highest and the last value."""
    return [one for n in range(0, len(line), 16) for one in _extremes(line[n : n + 16])]


def _extremes(part: list[tuple[float, float]]) -> Iterator[tuple[float, float]]:
    low, high = min(part, key=_value), max(part, key=_value)
    for place, one in enumerate(part):
        if place in {0, len(part) - 1} or one is low or one is high:
            yield one


def _time(value: tuple[float, float]) -> float:
    return value[0]


def _value(value: tuple[float, float]) -> float:
    return value[1]

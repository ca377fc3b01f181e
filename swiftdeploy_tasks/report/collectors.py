"""Collectors in bounded memory: the newest rows, percentiles, and values thinned by time."""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

SHORTEST_BUCKET = 1 / 64


class _Timed(Protocol):
    @property
    def at(self) -> float: ...


Row = TypeVar("Row")
Value = TypeVar("Value", bound=_Timed)


@dataclass(frozen=True)
class Rows(Generic[Row]):
    """The newest rows of a table, oldest first, and how many older ones are left out."""

    shown: tuple[Row, ...] = ()
    left_out: int = 0

    def __iter__(self) -> Iterator[Row]:
        return iter(self.shown)

    @property
    def total(self) -> int:
        """The number of rows, with those left out."""
        return len(self.shown) + self.left_out


class Newest(Generic[Row]):
    """Keeps the last rows of many."""

    def __init__(self, most: int) -> None:
        self._rows: deque[Row] = deque(maxlen=most)
        self._taken = 0

    def add(self, row: Row) -> None:
        """Add a row; the oldest is dropped where there is no room."""
        self._taken += 1
        self._rows.append(row)

    def rows(self) -> Rows[Row]:
        """Return the rows that are left, and how many were dropped."""
        return Rows(tuple(self._rows), self._taken - len(self._rows))


@dataclass(frozen=True)
class Distribution:
    """Percentiles of some figures."""

    median: float
    p95: float
    highest: float


class Percentiles:
    """Counts figures by their first three digits."""

    def __init__(self) -> None:
        self._counts: Counter[float] = Counter()

    def add(self, figure: float) -> None:
        """Add a figure; one below 0 or beyond 1e12 is left out."""
        if 0 <= figure < 1e12:
            self._counts[float(f"{max(figure, 1e-6):.3g}")] += 1

    def distribution(self) -> Distribution | None:
        """Return the percentiles, None without a figure."""
        if not self._counts:
            return None
        return Distribution(self._percentile(50), self._percentile(95), self._percentile(100))

    def _percentile(self, percent: float) -> float:
        figures = sorted(self._counts)
        rank = math.ceil(self._counts.total() * percent / 100)
        reached = 0
        for figure in figures:
            reached += self._counts[figure]
            if reached >= rank:
                return figure
        return figures[-1]


class Buckets(Generic[Value]):
    """Values over time, at most `most` of them: values in one bucket of time are merged into one.

    Where there are too many buckets, each becomes twice as wide. `merge` takes the earlier and the later one.
    """

    def __init__(self, most: int, merge: Callable[[Value, Value], Value]) -> None:
        self._most, self._merge = most, merge
        self._width = SHORTEST_BUCKET
        self._held: dict[int, Value] = {}

    def add(self, value: Value) -> None:
        """Add a value."""
        self._put(value)
        while len(self._held) > self._most:
            self._width *= 2
            values = self.values()
            self._held.clear()
            for one in values:
                self._put(one)

    def values(self) -> tuple[Value, ...]:
        """Return the values in the order of time."""
        return tuple(self._held[bucket] for bucket in sorted(self._held))

    def _put(self, value: Value) -> None:
        bucket = math.floor(value.at / self._width)
        there = self._held.get(bucket)
        self._held[bucket] = value if there is None else self._merge(there, value)

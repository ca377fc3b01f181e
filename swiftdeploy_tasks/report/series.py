"""The figures of each slot over time, thinned to the lowest and the highest of each bucket of time."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, get_args

from swiftdeploy_tasks.report import record_fields
from swiftdeploy_tasks.report.collectors import Buckets
from swiftdeploy_tasks.report.period import Period

Measured = Literal["rate", "errors", "p99", "shares"]

MOST_POINTS = 500
MOST_SLOTS = 4
# Seconds without a figure that end a line.
GAP = 60.0
# Seconds for which a scrape may still report the shares from before a change.
SETTLED = 2.0
# Figures beyond it are invented, and would flatten the others.
HIGHEST = 1e12


class Point(NamedTuple):
    """The figures of one bucket of time; no line joins a point after a gap to the one before."""

    at: float
    low: float
    high: float
    last: float
    is_after_gap: bool = False


@dataclass(frozen=True)
class Series:
    """One figure of one slot over time: requests a second, errors and shares in percent, p99 in ms."""

    slot: str
    measured: Measured
    points: tuple[Point, ...]


class SlotSeries:
    """Collects the figures of the slots from scrapes, and their shares from scrapes and changes."""

    def __init__(self, period: Period) -> None:
        self._period = period
        self._slots: dict[str, _Slot] = {}
        self._shares: Mapping[str, float] = {}
        self._set_at = -math.inf

    def add_scrape(self, at: float, slots: Mapping[str, Any]) -> None:
        """Add what a scrape found; an empty slot has no object."""
        found = {
            record_fields.text(name): record_fields.mapping(value) for name, value in slots.items() if value
        }
        if not 0 <= at - self._set_at <= SETTLED:
            weights = {name: bounded(value.get("weight"), 100) for name, value in found.items()}
            self._add_shares(at, {name: weight or 0.0 for name, weight in weights.items()})
        if self._period.holds(at):
            for name in {*self._slots, *found}:
                if slot := self._slot(name):
                    slot.add(at, found.get(name, {}))

    def set_shares(self, at: float, shares: Mapping[str, float]) -> None:
        """Add the shares that a change has set."""
        self._set_at = at
        self._add_shares(at, shares)

    def series(self) -> tuple[Series, ...]:
        """Return what was collected, by slot."""
        return tuple(
            Series(name, measured, points)
            for name, slot in sorted(self._slots.items())
            for measured, line in slot.lines.items()
            if (points := line.points)
        )

    def _add_shares(self, at: float, shares: Mapping[str, float]) -> None:
        """Add shares that differ from the last ones; of those before the period, only the last count."""
        if shares == self._shares or at > self._period.until:
            return
        self._shares = shares
        for name in {*self._slots, *shares}:
            if slot := self._slot(name):
                slot.set_share(
                    max(at, self._period.since), shares.get(name, 0.0), replace=at < self._period.since
                )

    def _slot(self, name: str) -> _Slot | None:
        """Return the slot of this name, None where there are too many names."""
        if len(self._slots) < MOST_SLOTS:
            self._slots.setdefault(name, _Slot())
        return self._slots.get(name)


class _Slot:
    """The lines of one slot."""

    def __init__(self) -> None:
        self.lines: dict[Measured, _Line] = {measured: _Line() for measured in get_args(Measured)}
        self._release = ""

    def add(self, at: float, found: Mapping[str, Any]) -> None:
        """Add the figures of a scrape; another release than before begins a new line."""
        release, self._release = self._release, record_fields.text(found.get("release"))
        for measured, figure in figures(record_fields.mapping(found.get("window"))).items():
            if release != self._release:
                self.lines[measured].end()
            self.lines[measured].add(at, figure)

    def set_share(self, at: float, share: float, *, replace: bool) -> None:
        """Add the slot's share from this time on, after or instead of the ones before."""
        if replace:
            self.lines["shares"] = _Line()
        self.lines["shares"].add(at, share, gap=math.inf)


def figures(window: Mapping[str, Any]) -> dict[Measured, float | None]:
    """Return the figures of a window, None where one is not known or cannot be."""
    rate = 0.0 if window.get("requests") == 0 else window.get("rate")
    errors = bounded(window.get("error_rate"), 1)
    p99 = window.get("p99_ms")
    return {
        "rate": bounded(rate, HIGHEST),
        "errors": None if errors is None else 100 * errors,
        "p99": bounded(window.get("beyond_ms") if p99 is None else p99, HIGHEST),
    }


def bounded(value: object, highest: float) -> float | None:
    """Return a figure from 0 to the highest, None for anything else."""
    figure = record_fields.number(value)
    return figure if figure is not None and 0 <= figure <= highest else None


class _Line:
    """The points of one figure."""

    def __init__(self) -> None:
        self._points: Buckets[Point] = Buckets(MOST_POINTS, _merged)
        self._seen: float | None = None

    @property
    def points(self) -> tuple[Point, ...]:
        return self._points.values()

    def add(self, at: float, figure: float | None, *, gap: float = GAP) -> None:
        """Add a figure, None where it is not known."""
        if figure is None:
            self.end()
            return
        is_after_gap = self._seen is None or not 0 <= at - self._seen <= gap
        self._seen = at
        self._points.add(Point(at, figure, figure, figure, is_after_gap))

    def end(self) -> None:
        """Begin a new line with the next figure."""
        self._seen = None


def _merged(earlier: Point, later: Point) -> Point:
    return Point(
        earlier.at,
        min(earlier.low, later.low),
        max(earlier.high, later.high),
        later.last,
        earlier.is_after_gap or later.is_after_gap,
    )

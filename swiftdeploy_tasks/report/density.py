"""Reduces what does not fit into a chart's width.

Points that lie too close become a column from the lowest to the highest, and signs become one with a count.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

DAY = 86_400.0
# In days: with room to the ends of the calendar, 0001 and 9999, for the margins and ticks of an axis.
EARLIEST, LATEST = -710_000.0, 2_925_000.0
HIGHEST = 1e15
RIGHT, COLUMN = 16, 4
Value = tuple[float, float | None]
Known = tuple[float, float]
Column = tuple[float, float, float]


@dataclass(frozen=True)
class Size:
    """A picture's room in CSS pixels; `left` is for the names and figures beside the axis."""

    width: int
    height: int
    left: int
    font: float

    @property
    def room(self) -> int:
        """The pixels of the time axis."""
        return self.width - self.left - RIGHT


WIDE, NARROW, SMALL = Size(900, 190, 84, 12.0), Size(340, 180, 76, 11.0), Size(340, 160, 52, 11.0)


@dataclass(frozen=True)
class Span:
    """The time that a picture shows, in unix seconds."""

    start: float
    end: float

    @property
    def edges(self) -> tuple[float, float]:
        """The ends of the axis in days: a little wider, and never without length."""
        margin = max((self.end - self.start) * 0.02, 1.0)
        first = min(days(self.start - margin), LATEST - 1)
        return first, max(days(self.end + margin), first + 2 / DAY)

    def seconds(self, pixels: float, size: Size) -> float:
        """How long so many pixels of the axis are."""
        first, last = self.edges
        return pixels * (last - first) * DAY / size.room


@dataclass(frozen=True)
class Cell:
    """Signs that lie too close to be told apart: when the first was, and how many there are."""

    time: float
    count: int


def is_dense(count: int, size: Size) -> bool:
    """Whether so many values are too many for a line over the whole axis."""
    return COLUMN * count > size.room


def stretches(values: Iterable[Value]) -> Iterator[list[Known]]:
    """The values without a gap between them."""
    held: list[Known] = []
    for time, value in values:
        if value is not None:
            held.append((time, value))
        elif held:
            yield held
            held = []
    if held:
        yield held


def lone(values: Sequence[Value], least: float) -> list[Known]:
    """The values whose stretch is shorter than `least` seconds, so that its line could not be seen."""
    short = (one for one in stretches(values) if one[-1][0] - one[0][0] < least)
    return [value for one in short for value in one]


def stepped(values: Iterable[Value]) -> list[Value]:
    """The same values, each also where the next one begins: the course of what stays until it is changed."""
    drawn: list[Value] = []
    for time, value in values:
        if drawn:
            drawn.append((time, drawn[-1][1]))
        drawn.append((time, value))
    return drawn


def columns(values: Iterable[Value], start: float, width: float) -> list[Column]:
    """The middle of each column of `width` seconds that a line goes through, with its lowest and highest."""
    found: dict[int, tuple[float, float]] = {}

    def reach(place: int, *reached: float) -> None:
        low, high = found.get(place, (math.inf, -math.inf))
        found[place] = min(low, *reached), max(high, *reached)

    for held in stretches(values):
        reach(math.floor((held[0][0] - start) / width), held[0][1], held[0][1])
        for (time, value), (later, next_value) in pairwise(held):
            first, last = (math.floor((at - start) / width) for at in (time, later))
            slope = (next_value - value) / (later - time) if later > time else 0.0
            for place in range(first, last + 1):
                left = max(time, start + place * width)
                right = min(later, start + (place + 1) * width)
                ends = (value + slope * (left - time), value + slope * (right - time))
                reach(place, *(ends if later > time else (value, next_value)))
    return [(start + (place + 0.5) * width, *found[place]) for place in sorted(found)]


def cells(signs: Iterable[tuple[float, int]], start: float, width: float) -> list[Cell]:
    """The signs, as (time, count), one for each `width` seconds that hold any."""
    found: dict[int, Cell] = {}
    for time, count in sorted(signs):
        place = math.floor((time - start) / width)
        there = found.get(place, Cell(time, 0))
        found[place] = Cell(there.time, there.count + count)
    return [found[place] for place in sorted(found)]


def days(time: float) -> float:
    """A time in days, or the nearest one that an axis can show."""
    return max(EARLIEST, min(time / DAY, LATEST))

"""The course of a period: traffic, scrapes and events of each slot over time.

It covers the whole period, thinned and counted, where tables keep the newest rows. Times are Unix seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class Point(NamedTuple):
    """What one slot did from `at` to `until`: one scrape, or several that were drawn together.

    `rate` (requests a second) is their mean, `low_rate` and `peak_rate` the lowest and the highest, the
    others their worst; None where not known. `p99_ms` is the histogram's last bound where the true one lies
    beyond it. `gap` says that nobody looked just before, so that no line may be drawn to it.
    """

    at: float
    until: float
    release: str
    version: str
    mode: str
    weight: int
    rate: float | None
    low_rate: float | None
    peak_rate: float | None
    error_rate: float | None
    p99_ms: float | None
    chaos: str
    gap: bool


@dataclass(frozen=True)
class Series:
    """The scrapes of one slot in the order of time: `scrapes` is how many there were.

    `odd` is how many figures in them cannot be (an error rate above 1, a time below 0) and are not known.
    """

    slot: str
    points: tuple[Point, ...]
    scrapes: int
    odd: int = 0


@dataclass(frozen=True)
class Sign:
    """What happened from `at` to `until`: `count` times `kind`, things that went wrong apart (`is_bad`).

    `kind` is a verb that changes something, or rolled back, refusal, chaos or interruption.
    """

    at: float
    until: float
    kind: str
    is_bad: bool
    count: int = 1


@dataclass(frozen=True)
class Share:
    """What one slot got of the requests, as (time, percent), each until the next one."""

    slot: str
    values: tuple[tuple[float, float], ...]

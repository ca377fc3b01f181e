"""Pairs of scrapes with what was counted in between."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from swiftdeploy_tasks.metrics import Evidence, Limits, Scrape

BOUNDS = (0.1, 0.25, 0.5, 1.0)
LIMITS = Limits(max_error_rate=0.01, max_p99_ms=500, max_error_ratio=2, max_slow_ratio=2)
Pair = tuple[Scrape, Scrape]


@dataclass(frozen=True)
class Batch:
    """What both slots answered between two looks; `old` None: stable was not scraped."""

    new: Pair
    old: Pair | None = None
    warm: bool = True


def pair(
    good: int = 0,
    errors: int = 0,
    *,
    slow: int = 0,
    buckets: tuple[int, ...] | None = None,
    bounds: tuple[float, ...] = BOUNDS,
    at: float = 1000.0,
    seconds: float = 1.0,
) -> Pair:
    """A slot that had counted 7 in each bucket before; `slow` answers took more than a second."""
    moved = buckets or (good + errors - slow, *[0] * (len(bounds) - 1), slow)
    if not bounds:
        return Scrape(at, 7, 7), Scrape(at + seconds, 7 + good, 7 + errors)
    before = Scrape(at, 7, 7, bounds=bounds, buckets=(7,) * len(moved))
    counts = tuple(7 + count for count in moved)
    return before, replace(before, time=at + seconds, ok=7 + good, errors=7 + errors, buckets=counts)


def gather(batches: Iterable[Batch], limits: Limits = LIMITS) -> Evidence:
    evidence = Evidence(limits)
    for batch in batches:
        evidence = evidence.after(new=batch.new, old=batch.old, warm=batch.warm)
    return evidence

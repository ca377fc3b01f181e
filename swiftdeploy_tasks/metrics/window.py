"""A window: the difference between two scrapes of a slot, and the choice of its first scrape.

Counts since an app's start are not presented as a shorter window. A page whose counters went back without a
restart of the app is an error.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from swiftdeploy_tasks.metrics.scrape import Scrape, UnreadableMetrics

# Some client libraries compute their start time at each scrape, to the second.
START_SLACK = 2.0
SEVERAL_WORKERS = (
    "where each of several workers has a page of its own, use the multiprocess mode of the app's metrics"
    " library (prometheus_client: PROMETHEUS_MULTIPROC_DIR)"
)
# How long a window may be, as a part of the length asked for.
SHORTEST, LONGEST = 0.8, 1.5


@dataclass(frozen=True)
class Window:
    """What happened in `seconds` (above zero): rates a second and as a part of 1, percentiles in ms.

    Without requests the rest is None. A percentile beyond the histogram's largest finite bound is not known
    and None too; `beyond_ms` is that bound then. Without a histogram every percentile is None.
    """

    seconds: float
    requests: int
    rate: float | None = None
    error_rate: float | None = None
    p50_ms: float | None = None
    p95_ms: float | None = None
    p99_ms: float | None = None
    beyond_ms: float | None = None

    def document(self) -> dict[str, Any]:
        """The window as JSON values; `beyond_ms` is in it only where a percentile lies beyond it."""
        values = asdict(self)
        if self.beyond_ms is None:
            del values["beyond_ms"]
        return values


def window(before: Scrape | None, after: Scrape) -> Window:
    """Return what happened between two scrapes of one slot; with None, since the app's start.

    After a restart in between it is what happened since that. Raises UnreadableMetrics where the scrapes
    contradict each other, no time passed by any clock, or the start is wanted and the page has no age.
    """
    start = _start(before, after)
    if start is None or not _follows(start, after):
        raise UnreadableMetrics(_doubt(before))
    seconds = _seconds(start, after)
    if seconds <= 0:
        raise UnreadableMetrics(f"the length of the window is not known: the clock moved by {seconds:.3f} s")
    rounded = max(round(seconds, 3), 0.001)
    errors = after.errors - start.errors
    requests = after.ok - start.ok + errors
    if not requests:
        return Window(rounded, 0)
    buckets = _moved(start, after)
    seen = [_quantile(percent, after.bounds, buckets) for percent in (50, 95, 99)]
    p50, p95, p99 = (None if value is None or value == math.inf else _ms(value) for value in seen)
    beyond = _ms(after.bounds[-1]) if math.inf in seen and after.bounds else None
    return Window(rounded, requests, round(requests / seconds, 3), errors / requests, p50, p95, p99, beyond)


def choose(recorded: Iterable[Scrape], now: Scrape, *, seconds: float) -> Scrape | None:
    """Return the scrape that makes a true window of about `seconds` up to `now`; None: wait for one.

    `recorded` are scrapes of the same slot and release. In this order: one of about that age, the start of
    an app that is younger, and the youngest since which nothing was counted.
    """
    born = at_start(now)
    lengths: list[tuple[float, Scrape]] = []
    for one in (*recorded, *([born] if born else [])):
        start = _start(one, now)
        if start and _follows(start, now):
            lengths.append((_seconds(start, now), one))
    fitting = [pair for pair in lengths if SHORTEST * seconds <= pair[0] <= LONGEST * seconds]
    if fitting:
        return min(fitting, key=lambda pair: abs(pair[0] - seconds))[1]
    if born and _seconds(born, now) < seconds:
        return born
    idle = [pair for pair in lengths if pair[0] > seconds and is_unmoved(pair[1], now)]
    return min(idle, key=lambda pair: pair[0])[1] if idle else None


def is_unmoved(before: Scrape, after: Scrape) -> bool:
    """Return whether nothing was counted in between, left-out paths apart, and the app did not restart."""
    if _start(before, after) is not before or not _follows(before, after):
        return False
    return (before.ok, before.errors) == (after.ok, after.errors) and not any(_moved(before, after))


def at_start(scrape: Scrape) -> Scrape | None:
    """Return the empty scrape of the app's start; None where the page has no age."""
    if scrape.age is None:
        return None
    uptime = None if scrape.uptime is None else 0.0
    return Scrape(time=scrape.time - scrape.age, uptime=uptime, started=scrape.started)


def went_back(before: Scrape, after: Scrape) -> bool:
    """Return whether a later page has less than an earlier one, as after a restart or of another worker.

    A page that the app caches has an old uptime, and is no sign of a restart.
    """
    if before.uptime is not None and after.uptime is not None and after.uptime < before.uptime:
        return True
    started = (before.started, after.started)
    if started[0] is not None and started[1] is not None and started[1] > started[0] + START_SLACK:
        return True
    return any(now < then for then, now in zip(before.counts, after.counts, strict=True))


def _start(before: Scrape | None, after: Scrape) -> Scrape | None:
    """The scrape to count from; None where it cannot be known."""
    if before is None:
        return at_start(after)
    if (before.uptime is None, before.started is None) != (after.uptime is None, after.started is None):
        return None
    if restarted(before, after):
        return at_start(after) or Scrape(time=before.time, uptime=after.uptime, started=after.started)
    return before


def _doubt(before: Scrape | None) -> str:
    if before is None:
        return "the app does not give its start time, so the length of the window is unknown"
    lost = "two scrapes contradict each other: counts, or the app's age, are lost without a restart"
    return f"{lost}; {SEVERAL_WORKERS}"


def restarted(before: Scrape, after: Scrape) -> bool:
    """Return whether the app started again in between: by its own clock, else by counts that went back."""
    if before.uptime is not None and after.uptime is not None:
        # Younger than it was; or older by now, and yet started only after that scrape.
        return after.uptime < before.uptime or after.time - after.uptime > before.time
    if before.started is not None and after.started is not None:
        return after.started > before.started + START_SLACK
    return not _follows(before, after)


def _follows(before: Scrape, after: Scrape) -> bool:
    """Return whether counting on from `before` can lead to `after`."""
    if before.buckets and (before.bounds, len(before.buckets)) != (after.bounds, len(after.buckets)):
        return False
    pairs = zip((*before.counts, *_buckets(before, after)), (*after.counts, *after.buckets), strict=True)
    return all(then <= now for then, now in pairs)


def _buckets(before: Scrape, after: Scrape) -> tuple[int, ...]:
    return before.buckets or (0,) * len(after.buckets)


def _moved(before: Scrape, after: Scrape) -> tuple[int, ...]:
    return tuple(now - then for then, now in zip(_buckets(before, after), after.buckets, strict=True))


def _seconds(start: Scrape, after: Scrape) -> float:
    """By the app's own clock where both scrapes have it: the host's may be set back in between."""
    if start.uptime is not None and after.uptime is not None and after.uptime > start.uptime:
        return after.uptime - start.uptime
    return after.time - start.time


def _quantile(percent: int, bounds: Sequence[float], counts: Sequence[int]) -> float | None:
    """Seconds, linear within the bucket; infinite beyond the last bound, None when nothing was measured."""
    if not any(counts):
        return None
    rank = percent * sum(counts) / 100
    reached = 0
    for index, bound in enumerate(bounds):
        if reached + counts[index] >= rank:
            lower = bounds[index - 1] if index else min(0.0, bound)
            return lower + (bound - lower) * (rank - reached) / counts[index]
        reached += counts[index]
    return math.inf


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 3)

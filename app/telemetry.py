"""Counters and histograms of requests in the Prometheus text format 0.0.4.

Labels come from closed sets, never from a request's own text.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field

BUCKETS: tuple[float, ...] = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True)
class Durations:
    """Requests by duration: one count per bucket and one for what is longer (not cumulative), and seconds."""

    counts: tuple[int, ...] = (0,) * (len(BUCKETS) + 1)
    seconds: float = 0.0

    def plus(self, seconds: float) -> Durations:
        """These and one more."""
        slot = bisect_left(BUCKETS, seconds)
        counts = (*self.counts[:slot], self.counts[slot] + 1, *self.counts[slot + 1 :])
        return Durations(counts, self.seconds + seconds)


@dataclass(frozen=True)
class Snapshot:
    """A copy of the counts: totals by (method, path, status), durations by (method, path)."""

    in_progress: int = 0
    totals: dict[tuple[str, str, int], int] = field(default_factory=dict)
    durations: dict[tuple[str, str], Durations] = field(default_factory=dict)


class Telemetry:
    """The counts of this process; safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._in_progress = 0
        self._totals: dict[tuple[str, str, int], int] = {}
        self._durations: dict[tuple[str, str], Durations] = {}

    def begin(self) -> None:
        """Note a request that is being answered."""
        with self._lock:
            self._in_progress += 1

    def end(self, method: str, path: str, status: int, seconds: float) -> None:
        """Count a request that `begin` announced."""
        with self._lock:
            self._in_progress -= 1
            total = (method, path, status)
            self._totals[total] = self._totals.get(total, 0) + 1
            self._durations[method, path] = self._durations.get((method, path), Durations()).plus(seconds)

    def snapshot(self) -> Snapshot:
        """Everything counted so far."""
        with self._lock:
            return Snapshot(self._in_progress, dict(self._totals), dict(self._durations))


def exposition(snapshot: Snapshot, *, uptime: float, mode: int, chaos: int) -> str:
    """The Prometheus text; `uptime` in seconds, `mode` 0 stable 1 canary, `chaos` 0 none 1 slow 2 error."""
    lines: list[str] = []
    lines += _family("http_requests_total", "counter", "Requests answered.")
    lines += _totals(snapshot)
    lines += _family("http_request_duration_seconds", "histogram", "Seconds from request read to answer.")
    lines += _histogram(snapshot)
    gauges = (
        ("http_requests_in_progress", "Requests being answered now.", snapshot.in_progress),
        ("app_uptime_seconds", "Seconds since this process started.", round(uptime, 3)),
        ("app_mode", "0 stable, 1 canary.", mode),
        ("chaos_active", "0 none, 1 slow, 2 error.", chaos),
    )
    for name, meaning, value in gauges:
        lines += _family(name, "gauge", meaning)
        lines.append(f"{name} {value}")
    return "\n".join(lines) + "\n"


def _family(name: str, kind: str, meaning: str) -> tuple[str, str]:
    return f"# HELP {name} {meaning}", f"# TYPE {name} {kind}"


def _totals(snapshot: Snapshot) -> Iterator[str]:
    for (method, path, status), count in sorted(snapshot.totals.items()):
        yield f'http_requests_total{{method="{method}",path="{path}",status_code="{status}"}} {count}'


def _histogram(snapshot: Snapshot) -> Iterator[str]:
    name = "http_request_duration_seconds"
    bounds = [str(bound) for bound in BUCKETS] + ["+Inf"]
    for (method, path), durations in sorted(snapshot.durations.items()):
        labels = f'method="{method}",path="{path}"'
        reached = 0
        for bound, count in zip(bounds, durations.counts, strict=True):
            reached += count
            yield f'{name}_bucket{{{labels},le="{bound}"}} {reached}'
        yield f"{name}_sum{{{labels}}} {durations.seconds!r}"
        yield f"{name}_count{{{labels}}} {reached}"

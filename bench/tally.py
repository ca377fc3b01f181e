"""Counts of a load: its requests, its failures by kind, and the longest time without a good answer."""

from __future__ import annotations

import time
from array import array
from collections import Counter
from dataclasses import dataclass, field
from statistics import quantiles

KINDS = ("refused", "reset", "timeout", "5xx", "short")


@dataclass(frozen=True)
class Failure:
    """A request without a good answer: when that was seen (monotonic s), on which lane of which sort."""

    at: float
    kind: str
    method: str
    sort: str
    lane: int


@dataclass
class Tally:
    """What came of the requests; `waits` are the seconds from when a request was due to its whole answer."""

    began: float = 0.0
    ended: float = 0.0
    good: int = 0
    modes: Counter[str] = field(default_factory=Counter)
    methods: Counter[str] = field(default_factory=Counter)
    failures: list[Failure] = field(default_factory=list)
    closed_idle: int = 0
    unsent: int = 0
    outage: float = 0.0
    waits: array[float] = field(default_factory=lambda: array("d"))
    _good_at: float = 0.0
    _is_out: bool = False

    @property
    def requests(self) -> int:
        return self.good + len(self.failures)

    @property
    def seconds(self) -> float:
        return self.ended - self.began

    def count(self, kind: str) -> int:
        return sum(failure.kind == kind for failure in self.failures)

    def wait_ms(self, percent: int) -> float:
        """Return a percentile of the good answers' waits, in milliseconds; 0 without any."""
        if len(self.waits) < 2:
            return 1000 * sum(self.waits)
        return 1000 * quantiles(self.waits, n=100, method="inclusive")[percent - 1]

    def begin(self) -> None:
        self.began = self._good_at = time.monotonic()

    def note_good(self, due: float, method: str, mode: str) -> None:
        now = time.monotonic()
        self._close_outage(now)
        self._good_at = now
        self.good += 1
        self.methods[method] += 1
        self.modes[mode] += 1
        self.waits.append(now - due)

    def note_failed(self, kind: str, method: str, sort: str, lane: int) -> None:
        self._is_out = True
        self.methods[method] += 1
        self.failures.append(Failure(time.monotonic(), kind, method, sort, lane))

    def end(self) -> None:
        self.ended = time.monotonic()
        self._close_outage(self.ended)

    def _close_outage(self, now: float) -> None:
        """An outage lasts from the last good answer before a failure to the next good one."""
        if self._is_out:
            self.outage = max(self.outage, now - self._good_at)
        self._is_out = False


def report(tally: Tally) -> str:
    """Return what came of the load, a line for each thing."""
    rows = {
        "requests": f"{tally.requests} in {tally.seconds:.1f} s, {tally.requests / tally.seconds:.0f}/s",
        "sent as": ", ".join(f"{name} {count}" for name, count in sorted(tally.methods.items())),
        "failed": f"{len(tally.failures)}: " + ", ".join(f"{kind} {tally.count(kind)}" for kind in KINDS),
        "longest outage": f"{tally.outage:.3f} s",
        "closed while idle": str(tally.closed_idle),
        "never sent": str(tally.unsent),
        "wait": f"p50 {tally.wait_ms(50):.1f} ms, p99 {tally.wait_ms(99):.1f} ms, "
        f"longest {1000 * max(tally.waits, default=0.0):.0f} ms",
    }
    return "\n".join(f"{name:<18} {text}" for name, text in rows.items())

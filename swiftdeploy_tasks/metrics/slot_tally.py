"""Requests, errors and latencies of one slot as nginx saw them."""

from __future__ import annotations

from dataclasses import astuple, dataclass, field
from typing import Any

from swiftdeploy_tasks.metrics.scrape import Scrape
from swiftdeploy_tasks.metrics.window import Window, window

# Upper bounds of the latency histogram, in seconds: 1 ms to 60 s.
BOUNDS = (
    *(0.001, 0.0025, 0.005, 0.0075, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75),
    *(1.0, 2.5, 5.0, 7.5, 10.0, 30.0, 60.0),
)
# A client that leaves after this many seconds without an answer counts as an error; before, not at all.
GAVE_UP = 1.0


@dataclass
class SlotTally:
    """What one slot answered since the count began; `client_errors` are answers 4xx.

    `broken_off` are answers that began well, count as errors, and have yet to be logged as answered.
    """

    ok: int = 0
    errors: int = 0
    client_errors: int = 0
    broken_off: int = 0
    buckets: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1))

    @property
    def requests(self) -> int:
        """How many requests were counted."""
        return self.ok + self.errors

    def at(self, time: float) -> Scrape:
        """Return the tally as a scrape of that moment (unix seconds)."""
        return Scrape(time=time, ok=self.ok, errors=self.errors, bounds=BOUNDS, buckets=tuple(self.buckets))

    def add(self, other: SlotTally) -> None:
        """Add what another tally counted."""
        self.ok += other.ok
        self.errors += other.errors
        self.client_errors += other.client_errors
        self.buckets = [one + more for one, more in zip(self.buckets, other.buckets, strict=True)]


@dataclass(frozen=True)
class Counted:
    """What nginx counted of one slot in a window; `client_errors` are answers 4xx."""

    window: Window
    client_errors: int

    def without_latency(self) -> Counted:
        """The same without percentiles."""
        return Counted(Window(*astuple(self.window)[:4]), self.client_errors)

    def document(self) -> dict[str, Any]:
        """The window as JSON values, with the rate of client errors (of 1), None without requests."""
        requests = self.window.requests
        return {
            **self.window.document(),
            "client_error_rate": self.client_errors / requests if requests else None,
        }


def counted(start: tuple[float, SlotTally], end: tuple[float, SlotTally]) -> Counted:
    """Return what was counted between two tallies of one slot, each with its time (unix seconds)."""
    (began, first), (ended, last) = start, end
    length = max(ended - began, 0.001)
    return Counted(window(first.at(ended - length), last.at(ended)), last.client_errors - first.client_errors)


def split_list(text: str) -> list[str]:
    """Return the entries of an nginx variable that has one for each slot that was tried."""
    return text.replace(" : ", ", ").split(", ")

"""What happened in one slot between two scrapes of its metrics?

Stands apart as plain arithmetic on values, so that every odd page and every odd clock can be tried without an
app. It refuses to guess: a page that is cut short or contradicts itself is no scrape, and a figure that
cannot be known is absent, never zero.
"""

from __future__ import annotations

from swiftdeploy_tasks.metrics.access_log import (
    WAITING,
    Counted,
    Counter,
    SlotTally,
    counted,
    from_access_log,
)
from swiftdeploy_tasks.metrics.exposition import HISTOGRAMS, MAX_PAGE, parse, sources
from swiftdeploy_tasks.metrics.scrape import Scrape, UnreadableMetrics
from swiftdeploy_tasks.metrics.window import (
    SEVERAL_WORKERS,
    Window,
    at_start,
    choose,
    is_unmoved,
    restarted,
    went_back,
    window,
)

__all__ = [
    "HISTOGRAMS",
    "MAX_PAGE",
    "SEVERAL_WORKERS",
    "WAITING",
    "Counted",
    "Counter",
    "Scrape",
    "SlotTally",
    "UnreadableMetrics",
    "Window",
    "at_start",
    "choose",
    "counted",
    "from_access_log",
    "is_unmoved",
    "parse",
    "restarted",
    "sources",
    "went_back",
    "window",
]

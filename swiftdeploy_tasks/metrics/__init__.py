"""Metrics of a slot: requests, errors and latencies between two scrapes.

Pure functions. A page that is cut short or contradicts itself is no scrape, and a figure that is not known is
absent, never zero.
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

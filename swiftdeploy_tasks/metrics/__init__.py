"""Metrics of a slot: requests, errors and latencies between two scrapes, and the evidence in many of them.

Pure functions. A page that is cut short or contradicts itself is no scrape, and a figure that is not known is
absent, never zero.
"""

from __future__ import annotations

from swiftdeploy_tasks.metrics.count_file import WAITING, Counter
from swiftdeploy_tasks.metrics.evidence import Evidence, Limits, joint_document
from swiftdeploy_tasks.metrics.exposition import HISTOGRAMS, MAX_PAGE, parse, sources
from swiftdeploy_tasks.metrics.log_windows import AccessLog, LogWindows, first_whole_second, second_of
from swiftdeploy_tasks.metrics.rate_test import Counts
from swiftdeploy_tasks.metrics.rule_evidence import RuleEvidence
from swiftdeploy_tasks.metrics.scrape import WITHOUT_PAGE, Scrape, UnreadableMetrics
from swiftdeploy_tasks.metrics.slot_tally import Counted, SlotTally, counted
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
    "WITHOUT_PAGE",
    "AccessLog",
    "Counted",
    "Counter",
    "Counts",
    "Evidence",
    "Limits",
    "LogWindows",
    "RuleEvidence",
    "Scrape",
    "SlotTally",
    "UnreadableMetrics",
    "Window",
    "at_start",
    "choose",
    "counted",
    "first_whole_second",
    "is_unmoved",
    "joint_document",
    "parse",
    "restarted",
    "second_of",
    "sources",
    "went_back",
    "window",
]

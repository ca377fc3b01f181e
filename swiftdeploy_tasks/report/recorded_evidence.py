"""The evidence about a new release while a change was watched, as records describe it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from swiftdeploy_tasks.metrics import RuleEvidence, Window

# The rules that are judged by evidence, each with what its evidence is against.
RULES = {
    "max_error_rate": "errors above the limit",
    "max_error_ratio": "errors above those of stable",
    "max_p99_ms": "answers slower than the limit",
    "max_slow_ratio": "answers slower than those of stable",
}


@dataclass(frozen=True)
class RecordedEvidence:
    """The evidence of one verdict by rule, and what both slots did; a rule fails at `threshold`."""

    at: float
    threshold: float
    rules: Mapping[str, RuleEvidence]
    new: Window | None
    stable: Window | None


class EvidencePoint(NamedTuple):
    """The highest figures of one bucket of time, None where one is not known.

    `e` has a value for each of RULES; `errors` (in percent) and `p99` (in ms) one for new and one for stable.
    """

    at: float
    e: tuple[float | None, ...]
    errors: tuple[float | None, ...]
    p99: tuple[float | None, ...]


@dataclass(frozen=True)
class ChangeEvidence:
    """The evidence over one change: thinned points, the number of verdicts, and the last one."""

    points: tuple[EvidencePoint, ...]
    judged: int
    last: RecordedEvidence

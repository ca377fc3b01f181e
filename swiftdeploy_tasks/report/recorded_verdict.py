"""A verdict as a record describes it."""

from __future__ import annotations

from dataclasses import dataclass

from swiftdeploy_tasks.metrics import Window
from swiftdeploy_tasks.model.verdict import Check


@dataclass(frozen=True)
class RecordedVerdict:
    """One verdict: `outcome` is allowed, refused or unanswered; only canary has a `phase` and a `window`.

    `unlisted` is the number of checks beyond those listed; `error` says why there is no answer.
    """

    seq: int
    at: float
    domain: str
    outcome: str
    phase: str
    window: Window | None
    revision: str
    answered_by: str
    duration_ms: float | None
    checks: tuple[Check, ...]
    unlisted: int
    error: str

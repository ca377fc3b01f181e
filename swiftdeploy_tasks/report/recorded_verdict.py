"""A verdict as a record describes it."""

from __future__ import annotations

from dataclasses import dataclass

from swiftdeploy_tasks.metrics import Window
from swiftdeploy_tasks.model.verdict import Check

_STEP = ("watch", "step_end")
_WORDS = {"allowed": ("pass", "undecided"), "refused": ("fail",)}


@dataclass(frozen=True)
class RecordedVerdict:
    """One verdict: `outcome` is allowed, refused or unanswered; only canary has a `phase` and a `window`.

    `said` is the policy's own word for it. `unlisted` is the number of checks beyond those listed; `error`
    says why there is no answer.
    """

    seq: int
    at: float
    domain: str
    outcome: str
    said: str
    phase: str
    window: Window | None
    revision: str
    answered_by: str
    duration_ms: float | None
    checks: tuple[Check, ...]
    unlisted: int
    error: str

    @property
    def word(self) -> str:
        """The verdict about a step (pass, fail or undecided), else the outcome."""
        is_step = self.phase in _STEP and self.said in _WORDS.get(self.outcome, ())
        return self.said if is_step else self.outcome

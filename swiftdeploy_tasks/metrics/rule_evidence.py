"""What one test found about a new release, as the policy reads it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from swiftdeploy_tasks.metrics.rate_test import NOTHING, Counts


@dataclass(frozen=True)
class RuleEvidence:
    """The e-values of one test, `e` against the release and `proven_e` for it, and the counts it used.

    `boundary_ms` is the boundary of the histogram beyond which a request is slow; None where the test is not
    about latency, or has no boundary to use. `why` is a limitation of the test, mostly "".
    """

    e: float = 1.0
    proven_e: float = 1.0
    new: Counts = NOTHING
    stable: Counts | None = None
    boundary_ms: float | None = None
    why: str = ""

    def document(self) -> dict[str, Any]:
        """The evidence as JSON values."""
        return {
            "e": _short(self.e),
            "proven_e": _short(self.proven_e),
            "requests": self.new.requests,
            "bad": self.new.bad,
            "stable_requests": self.stable.requests if self.stable else None,
            "stable_bad": self.stable.bad if self.stable else None,
            "boundary_ms": self.boundary_ms,
            "why": self.why,
        }


def join(found: Sequence[RuleEvidence]) -> RuleEvidence:
    """Return the evidence of several sources about one rule as one.

    The mean of e-values is an e-value. The weaker proof counts. The counts are those of the largest e-value,
    or where nothing speaks against the release, of the source that saw more. Where a source has a boundary
    for a test of latency, sources without one are left out.
    """
    able = [one for one in found if one.boundary_ms is not None] or found
    shown = max(able, key=lambda one: (max(one.e, 1.0), one.new.requests))
    mean = sum(one.e for one in able) / len(able)
    return replace(shown, e=mean, proven_e=min(one.proven_e for one in able))


def milliseconds(seconds: float) -> float:
    """Return a boundary of a histogram in milliseconds."""
    return _whole(round(seconds * 1000, 3))


def _short(e: float) -> float:
    """Return the e-value with 4 digits and without an exponent: both policy engines print it alike."""
    return _whole(round(float(f"{e:.4g}"), 4))


def _whole(number: float) -> float:
    return int(number) if number.is_integer() else number

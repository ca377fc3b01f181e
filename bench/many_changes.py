"""The evidence of many changes at once: arrays in which each row is one change.

It has the sums of `swiftdeploy_tasks.metrics.Evidence`, which tests/bench compares it with.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from swiftdeploy_tasks.metrics import Limits
from swiftdeploy_tasks.metrics.evidence import SLOW_SHARE
from swiftdeploy_tasks.metrics.rate_test import HIGHEST_SHARE, MAX_E, WORSE
from swiftdeploy_tasks.metrics.ratio_test import MORE_OFTEN

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

# The logarithm of what counts as too much for an exponential; its mean over any grid exceeds MAX_E.
_MUCH = 30.0


@dataclass(frozen=True)
class Batch:
    """What one slot answered in a second, by change, and how many requests were beyond each boundary."""

    requests: Ints
    errors: Ints
    slow: Ints


class ManyChanges:
    """The e-values against the new slots of so many changes."""

    def __init__(self, changes: int, limits: Limits, bounds: Sequence[float]) -> None:
        self.limits = limits
        self.requests, self.errors = np.zeros((2, changes))
        self.slow = np.zeros((changes, len(bounds)))
        self.measured = np.zeros(changes)
        self.errors_compared, self.slow_compared = np.zeros(changes), np.zeros((changes, len(bounds)))
        self.error_logs = np.zeros((changes, len(MORE_OFTEN)))
        self.slow_logs = np.zeros((changes, len(bounds), len(MORE_OFTEN)))
        longer = [at for at, bound in enumerate(bounds) if bound * 1000 >= limits.max_p99_ms]
        self.p99_at = longer[0] if longer else None

    def after(self, new: Batch, old: Batch, *, warm: bool) -> None:
        """Take in one batch of every change."""
        self.requests += new.requests
        self.errors += new.errors
        both = (new.requests > 0) & (old.requests > 0)
        self.errors_compared += new.errors * both
        shift = _shift(new.requests, old.requests, self.limits.max_error_ratio)
        self.error_logs += (new.errors + old.errors)[:, None] * shift
        if warm and self.slow.size:
            self.measured += new.requests
            self.slow += new.slow
            self.slow_compared += new.slow * both[:, None]
            shift = _shift(new.requests, old.requests, self.limits.max_slow_ratio)
            self.slow_logs += (new.slow + old.slow)[:, :, None] * shift[:, None, :]

    def e(self) -> dict[str, Floats]:
        """Return the e-values against the new slots, by rule; of latency only where it is measured."""
        found = {
            "max_error_rate": _above_limit(self.requests, self.errors, self.limits.max_error_rate),
            "max_error_ratio": _more_often(self.errors_compared, self.error_logs),
        }
        if self.p99_at is not None:
            found["max_p99_ms"] = _above_limit(self.measured, self.slow[:, self.p99_at], SLOW_SHARE)
        if self.slow.size:
            found["max_slow_ratio"] = _more_often(self.slow_compared, self.slow_logs).mean(axis=1)
        return found


def _shift(new: Ints, old: Ints, limit: float) -> Floats:
    """Return what one bad request of either slot adds to each sum; 0 where a slot had no request."""
    weight = (new * limit)[:, None]
    both = ((new > 0) & (old > 0))[:, None]
    beside = np.where(both, old[:, None], 1)
    shift = np.log((weight + beside) / (weight * np.array(MORE_OFTEN) + beside))
    return np.where(both, shift, 0.0)


def _above_limit(requests: Floats, bad: Floats, limit: float) -> Floats:
    factors = np.minimum(WORSE, HIGHEST_SHARE / limit)
    good = (requests - bad)[:, None] * (np.log1p(-limit * factors) - np.log1p(-limit))
    return _mean_of_exp(bad[:, None] * np.log(factors) + good)


def _more_often(bad: Floats, logs: Floats) -> Floats:
    return _mean_of_exp(bad[..., None] * np.log(MORE_OFTEN) + logs)


def _mean_of_exp(logs: Floats) -> Floats:
    mean: Floats = np.exp(np.minimum(logs, _MUCH)).mean(axis=-1)
    return np.minimum(mean, MAX_E)

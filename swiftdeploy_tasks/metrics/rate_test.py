"""A sequential test of a share of bad requests against a limit.

Its result is an e-value: it starts at 1, and while the null hypothesis holds it exceeds 1/a with probability
at most a, however often it is looked at (Ville's inequality). It is the mean of likelihood ratios, one for
each alternative of a grid: Howard et al., arXiv 1810.08240; Lindon and Malek, arXiv 2011.03567.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

# The alternatives, as multiples of the limit: a worse share, and a better one.
WORSE = (1.5, 2.0, 3.0, 5.0, 10.0, 30.0, 90.0)
BETTER = (0.0, 0.1, 0.25, 0.5)
# No alternative is above it, so a limit of that size or more cannot be refuted.
HIGHEST_SHARE = 0.99
# Finite and far beyond any threshold.
MAX_E = 1e9


@dataclass(frozen=True)
class Counts:
    """Requests, and how many of them were bad: an error, or slower than a boundary."""

    requests: int = 0
    bad: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(self.requests + other.requests, self.bad + other.bad)


NOTHING = Counts()


def above_limit(seen: Counts, limit: float) -> float:
    """Return the e-value against "at most `limit` (of 1) of the requests are bad".

    A limit of 0 or less is refuted by the first bad request, and one of HIGHEST_SHARE or more never.
    """
    if limit <= 0:
        return MAX_E if seen.bad else 1.0
    if limit >= HIGHEST_SHARE:
        return 1.0
    return mean_of_exp([_log_ratio(seen, limit, min(one, HIGHEST_SHARE / limit)) for one in WORSE])


def below_limit(seen: Counts, limit: float) -> float:
    """Return the e-value against "at least `limit` (of 1) of the requests are bad".

    A limit of 0 or less cannot be proven, and one of 1 or more is proven by the first request.
    """
    if limit <= 0:
        return 1.0
    if limit >= 1:
        return MAX_E if seen.requests else 1.0
    return mean_of_exp([_log_ratio(seen, limit, one) for one in BETTER])


def log_power(factor: float, count: int) -> float:
    """Return the logarithm of `factor` to the power of `count`; minus infinity for a power of 0."""
    if not count:
        return 0.0
    return count * math.log(factor) if factor else -math.inf


def mean_of_exp(logarithms: Sequence[float]) -> float:
    """Return the mean of the exponentials, at most MAX_E; at least one logarithm is finite."""
    highest = max(logarithms)
    mean = math.fsum(math.exp(one - highest) for one in logarithms) / len(logarithms)
    logarithm = highest + math.log(mean)
    return math.exp(logarithm) if logarithm < math.log(MAX_E) else MAX_E


def _log_ratio(seen: Counts, limit: float, factor: float) -> float:
    """Return the log likelihood ratio of the counts: `factor` times the limit against the limit."""
    good = seen.requests - seen.bad
    return log_power(factor, seen.bad) + good * (math.log1p(-limit * factor) - math.log1p(-limit))

"""The evidence for and against a new release, gathered while its slot takes traffic.

Four tests, each an e-value (see `rate_test`): the error rate and the p99 against their limits, and errors and
slow requests against those of stable. The policy compares the e-values with thresholds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from swiftdeploy_tasks.metrics.rate_test import HIGHEST_SHARE, NOTHING, Counts, above_limit, below_limit
from swiftdeploy_tasks.metrics.ratio_test import Comparison
from swiftdeploy_tasks.metrics.rule_evidence import RuleEvidence, join, milliseconds
from swiftdeploy_tasks.metrics.scrape import Scrape

# A limit on the p99 allows this share of the requests to be slower.
SLOW_SHARE = 0.01

Pair = tuple[Scrape, Scrape]


@dataclass(frozen=True)
class Limits:
    """What a release may do, the ratios as compared with stable. Any number is accepted.

    A limit of 0 or less on the error rate or a ratio is refuted by the first bad request, an error rate of
    0.99 or more never. A ratio above a million counts as a million.
    """

    max_error_rate: float
    max_p99_ms: float
    max_error_ratio: float
    max_slow_ratio: float


@dataclass(frozen=True)
class Evidence:
    """What one source has counted of the new slot, and of stable at the same moments.

    `source` says where the counts are from, where that is not the app. `slow` and `slow_compared` are by
    boundary of the latency histogram, in seconds.
    """

    limits: Limits
    source: str = ""
    errors: Counts = NOTHING
    errors_compared: Comparison = field(default_factory=Comparison)
    slow: Mapping[float, Counts] = field(default_factory=dict)
    slow_compared: Mapping[float, Comparison] = field(default_factory=dict)

    def after(self, *, new: Pair, old: Pair | None, warm: bool) -> Evidence:
        """Return the evidence with one more batch: two scrapes of each slot, without a restart in between.

        The latencies of a slot that is not yet warm do not count.
        """
        answered, slow = _answered(new), _slow(new)
        beside, slow_beside = (_answered(old), _slow(old)) if old else (NOTHING, {})
        if not warm:
            slow = dict.fromkeys(slow, NOTHING)
        return replace(
            self,
            errors=self.errors + answered,
            errors_compared=self.errors_compared.after(answered, beside, self.limits.max_error_ratio),
            slow={**self.slow, **{bound: self.slow.get(bound, NOTHING) + slow[bound] for bound in slow}},
            slow_compared={**self.slow_compared, **self._compare(slow, slow_beside)},
        )

    def rules(self) -> dict[str, RuleEvidence]:
        """Return what each test found, by the name of its limit."""
        found = {
            "max_error_rate": self._error_rate(),
            "max_p99_ms": self._p99(),
            "max_error_ratio": self._error_ratio(),
            "max_slow_ratio": self._slow_ratio(),
        }
        return {rule: replace(one, why=self._with_source(one.why)) for rule, one in found.items()}

    def document(self) -> dict[str, dict[str, Any]]:
        """The evidence as JSON values, by the name of the limit."""
        return joint_document(self)

    def _with_source(self, why: str) -> str:
        return "; ".join(filter(None, (self.source, why)))

    def _compare(self, new: Mapping[float, Counts], old: Mapping[float, Counts]) -> dict[float, Comparison]:
        limit = self.limits.max_slow_ratio
        return {
            bound: self.slow_compared.get(bound, Comparison()).after(new[bound], old[bound], limit)
            for bound in new.keys() & old.keys()
        }

    def _error_rate(self) -> RuleEvidence:
        limit = self.limits.max_error_rate
        why = f"a limit of {limit} is too high to be refuted" if limit >= HIGHEST_SHARE else ""
        e, proven_e = above_limit(self.errors, limit), below_limit(self.errors, limit)
        return RuleEvidence(e, proven_e, self.errors, why=why)

    def _p99(self) -> RuleEvidence:
        """Refute at the first boundary from the limit up, and prove at the last one up to the limit.

        A release is not judged by latencies between the limit and its nearest boundaries.
        """
        limit = self.limits.max_p99_ms
        upper = min((bound for bound in self.slow if milliseconds(bound) >= limit), default=None)
        lower = max((bound for bound in self.slow if milliseconds(bound) <= limit), default=None)
        if upper is None:
            return RuleEvidence(why=self._why_without_boundary(lower))
        e = above_limit(self.slow[upper], SLOW_SHARE)
        proven_e = 1.0 if lower is None else below_limit(self.slow[lower], SLOW_SHARE)
        why = "" if upper == lower else f"the latency histogram has no boundary at {limit} ms"
        return RuleEvidence(e, proven_e, self.slow[upper], boundary_ms=milliseconds(upper), why=why)

    def _why_without_boundary(self, longest: float | None) -> str:
        if longest is None:
            return "the metrics page has no latency histogram" if self.errors.requests else ""
        ends, limit = milliseconds(longest), self.limits.max_p99_ms
        return f"the longest latency bucket ends at {ends} ms, below the limit of {limit} ms"

    def _error_ratio(self) -> RuleEvidence:
        compared, limit = self.errors_compared, self.limits.max_error_ratio
        e, proven_e = compared.above_limit(limit), compared.below_limit(limit)
        return RuleEvidence(e, proven_e, compared.new, compared.stable)

    def _slow_ratio(self) -> RuleEvidence:
        """The mean over the boundaries, with the counts of the boundary that has the largest e-value."""
        compared, limit = self.slow_compared, self.limits.max_slow_ratio
        if not compared:
            is_compared = self.errors_compared.new.requests > 0
            why = "the latency histograms of the two slots share no boundary" if is_compared else ""
            return RuleEvidence(stable=NOTHING, why=why)
        against = {bound: compared[bound].above_limit(limit) for bound in sorted(compared)}
        # A boundary that no request exceeded has an e-value of 1, and nothing to show.
        shown = max(against, key=lambda bound: (compared[bound].bad > 0, against[bound]))
        return RuleEvidence(
            sum(against.values()) / len(against),
            min(one.below_limit(limit) for one in compared.values()),
            compared[shown].new,
            compared[shown].stable,
            milliseconds(shown),
        )


def joint_document(*sources: Evidence) -> dict[str, dict[str, Any]]:
    """The evidence of one or more sources about the same slots as JSON values, by the name of the limit."""
    found = [source.rules() for source in sources]
    return {rule: join([rules[rule] for rules in found]).document() for rule in found[0]}


def _answered(pair: Pair) -> Counts:
    before, after = pair
    errors = after.errors - before.errors
    return Counts(after.ok - before.ok + errors, errors)


def _slow(pair: Pair) -> dict[float, Counts]:
    """Return the requests beyond each boundary; empty where the histograms do not follow each other."""
    before, after = pair
    if before.buckets and before.bounds != after.bounds:
        return {}
    then = before.buckets or (0,) * len(after.buckets)
    moved = [now - earlier for earlier, now in zip(then, after.buckets, strict=True)]
    if min(moved, default=0) < 0:
        return {}
    return {bound: Counts(sum(moved), sum(moved[at + 1 :])) for at, bound in enumerate(after.bounds)}

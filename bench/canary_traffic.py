"""Simulated canaries: the traffic of both slots, judged each second by the evidence and by the old policy.

Requests arrive at random (Poisson). What fails or is slow is independent of what went before.
"""

from __future__ import annotations

import functools
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray
from scipy.stats import lognorm

from bench.many_changes import Batch, Floats, ManyChanges
from swiftdeploy_tasks.metrics import Limits
from swiftdeploy_tasks.metrics.evidence import SLOW_SHARE

Bools = NDArray[np.bool_]

LIMITS = Limits(max_error_rate=0.01, max_p99_ms=500, max_error_ratio=2, max_slow_ratio=2)
EVIDENCE = 400
WARM_UP = 2
# Requests before the old policy looks for the first time.
FIRST_LOOK = 20

# Percent of the requests for the new slot, and for how many seconds.
Step = tuple[int, int]


@dataclass(frozen=True)
class Behaviour:
    """How a slot answers; `errors` and `delayed`, by a second, are shares of 1.

    The other latencies are lognormal with this median and spread (the deviation of the logarithm).
    """

    errors: float = 0.0
    median_ms: float = 20.0
    spread: float = 0.5
    delayed: float = 0.0


@functools.cache
def latency_shares(slot: Behaviour, bounds: tuple[float, ...]) -> Floats:
    """Return the share of the requests in each bucket, and beyond the last one."""
    latency = lognorm(s=slot.spread, scale=slot.median_ms / 1000)
    upto = (1 - slot.delayed) * latency.cdf(bounds) + slot.delayed * latency.cdf(np.array(bounds) - 1)
    return np.diff([0.0, *upto, 1.0])


@dataclass(frozen=True)
class Scene:
    """One kind of canary: `rate` requests a second; both slots are `troubled` in the seconds of `when`.

    Without `bounds` latencies are not measured.
    """

    rate: float
    steps: tuple[Step, ...]
    new: Behaviour
    stable: Behaviour
    troubled: Behaviour | None = None
    when: range = range(0)
    bounds: tuple[float, ...] = ()

    def seconds(self) -> Iterator[tuple[int, int, Behaviour, Behaviour]]:
        """Yield for each second: its step, percent of the new slot, and how new and old slot answer."""
        plan = [(step, percent) for step, (percent, length) in enumerate(self.steps) for _ in range(length)]
        for second, (step, percent) in enumerate(plan):
            both = self.troubled if second in self.when else None
            yield step, percent, both or self.new, both or self.stable


@dataclass(frozen=True)
class Outcome:
    """The second in which each change failed, infinite where it did not.

    By the evidence, by its comparisons with stable alone, and by the old policy's error rate and p99.
    `requests` is what the new slot had got when the evidence failed it.
    """

    evidence: Floats
    requests: Floats
    ratios: Floats
    error_rate: Floats
    p99: Floats


class OldPolicy:
    """The figures of a step up to now, compared with the limits at each look."""

    def __init__(self, changes: int, bounds: Sequence[float]) -> None:
        self.requests, self.errors, self.slow = np.zeros((3, changes))
        self.p99_at = bounds.index(LIMITS.max_p99_ms / 1000) if bounds else None

    def after(self, new: Batch) -> tuple[Bools, Bools]:
        """Take in one batch and return which changes fail by their error rate, and which by their p99."""
        self.requests += new.requests
        self.errors += new.errors
        if self.p99_at is not None:
            self.slow += new.slow[:, self.p99_at]
        is_looked_at = self.requests >= FIRST_LOOK
        by_errors = self.errors > LIMITS.max_error_rate * self.requests
        return is_looked_at & by_errors, is_looked_at & (self.slow > SLOW_SHARE * self.requests)


def simulate(scene: Scene, changes: int) -> Outcome:
    """Run the scene so many times; the same scene always gives the same outcome."""
    random = np.random.default_rng(zlib.crc32(repr(scene).encode()))
    outcome = Outcome(*(np.full(changes, np.inf) for _ in fields(Outcome)))
    gathered = ManyChanges(changes, LIMITS, scene.bounds)
    old_policy = [OldPolicy(changes, scene.bounds) for _ in scene.steps]
    for second, (step, percent, new, stable) in enumerate(scene.seconds(), start=1):
        seen = _answers(random, new, scene.rate * percent / 100, changes, scene.bounds)
        beside = _answers(random, stable, scene.rate * (1 - percent / 100), changes, scene.bounds)
        gathered.after(seen, beside, warm=second > WARM_UP)
        e = {rule: value >= EVIDENCE for rule, value in gathered.e().items()}
        failed = np.logical_or.reduce([*e.values()])
        _note(outcome.requests, failed, gathered.requests)
        _note(outcome.evidence, failed, second)
        _note(outcome.ratios, np.logical_or.reduce([e[rule] for rule in e if "ratio" in rule]), second)
        by_errors, by_p99 = old_policy[step].after(seen)
        _note(outcome.error_rate, by_errors, second)
        _note(outcome.p99, by_p99, second)
        if np.isfinite(outcome.evidence).all() and np.isfinite(outcome.error_rate).all():
            break
    return outcome


def _answers(
    random: np.random.Generator, slot: Behaviour, rate: float, changes: int, bounds: tuple[float, ...]
) -> Batch:
    requests = random.poisson(rate, changes)
    errors = random.binomial(requests, slot.errors)
    if not bounds:
        return Batch(requests, errors, np.zeros((changes, 0), dtype=np.int64))
    buckets = random.multinomial(requests, latency_shares(slot, bounds))
    return Batch(requests, errors, requests[:, None] - buckets.cumsum(axis=1)[:, :-1])


def _note(first: Floats, failed: Bools, value: Floats | float) -> None:
    """Write the value where a change failed for the first time."""
    np.copyto(first, value, where=failed & np.isinf(first))

"""The e-values: direct likelihood ratios, known figures, and properties that hold for any traffic."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import logsumexp
from scipy.stats import binom

from swiftdeploy_tasks.metrics import Limits, joint_document
from swiftdeploy_tasks.metrics.rate_test import MAX_E, Counts, above_limit, below_limit
from swiftdeploy_tasks.metrics.ratio_test import Comparison
from tests.metrics.batches import LIMITS, Batch, Pair, gather, pair

# The alternatives of each test, as multiples of its limit.
WORSE = (1.5, 2, 3, 5, 10, 30, 90)
MORE_OFTEN = (1.25, 1.5, 2, 3, 5, 10, 30)
BETTER = (0, 0.1, 0.25, 0.5)
THRESHOLD = 400
PROVEN = 20


@st.composite
def slots(draw: st.DrawFn) -> Pair:
    buckets = tuple(draw(st.lists(st.integers(0, 200), min_size=5, max_size=5)))
    errors = draw(st.integers(0, sum(buckets)))
    return pair(sum(buckets) - errors, errors, buckets=buckets)


batches = st.lists(st.builds(Batch, slots(), st.none() | slots(), st.booleans()), max_size=8)
numbers = st.sampled_from(
    [-1, 0, 5e-324, 1e-9, 0.01, 0.5, 0.989, 0.99, 0.995, 1, 2, 500, 1e300, math.inf, 10**400]
)
limits = st.builds(Limits, numbers, numbers, numbers, numbers) | st.just(LIMITS)
counts = st.integers(1, 5000).flatmap(lambda n: st.builds(Counts, st.just(n), st.integers(0, n)))


def mean(logs: list[float]) -> float:
    """The mean of the exponentials, capped, by scipy."""
    return math.exp(min(float(logsumexp(logs)) - math.log(len(logs)), math.log(MAX_E)))


@given(counts, st.sampled_from([0.001, 0.01, 0.05, 0.3, 0.9]))
def test_a_rate_is_tested_by_the_likelihood_ratio_of_binomials(seen: Counts, limit: float) -> None:
    def ratio(share: float) -> float:
        return float(
            binom.logpmf(seen.bad, seen.requests, share) - binom.logpmf(seen.bad, seen.requests, limit)
        )

    against = mean([ratio(min(limit * factor, 0.99)) for factor in WORSE])
    assert above_limit(seen, limit) == pytest.approx(against, rel=1e-6)
    assert below_limit(seen, limit) == pytest.approx(mean([ratio(limit * f) for f in BETTER]), rel=1e-6)


@given(st.lists(st.tuples(counts, counts), min_size=1, max_size=6), st.sampled_from([0.5, 1, 2, 10]))
def test_slots_are_compared_by_the_likelihood_ratio_of_who_failed(
    seen: list[tuple[Counts, Counts]], limit: float
) -> None:
    def log_likelihood(ratio: float) -> float:
        shares = [new.requests * ratio / (new.requests * ratio + old.requests) for new, old in seen]
        both = zip(seen, shares, strict=True)
        return sum(float(binom.logpmf(new.bad, new.bad + old.bad, share)) for (new, old), share in both)

    compared = Comparison()
    for new, old in seen:
        compared = compared.after(new, old, limit)
    at_limit = log_likelihood(limit)
    for found, factors in ((compared.above_limit, MORE_OFTEN), (compared.below_limit, BETTER)):
        wanted = mean([log_likelihood(limit * factor) - at_limit for factor in factors])
        assert found(limit) == pytest.approx(wanted, rel=1e-6)


@pytest.mark.parametrize(("errors", "first"), [(0, 354), (1, 647), (2, 856)])
def test_so_many_requests_prove_an_error_rate_below_one_percent(errors: int, first: int) -> None:
    assert below_limit(Counts(first, errors), 0.01) >= PROVEN > below_limit(Counts(first - 1, errors), 0.01)


def test_without_an_error_the_likelihood_of_none_at_all_proves_one_percent_by_437_requests() -> None:
    """The alternative of no errors has a quarter of the weight; the other three prove it a little sooner."""
    assert 0.99**-437 / len(BETTER) >= PROVEN > 0.99**-436 / len(BETTER)
    assert below_limit(Counts(437), 0.01) >= PROVEN


@pytest.mark.parametrize(("bad", "most"), [(2, 2), (3, 10), (4, 23), (5, 45)])
def test_so_many_errors_refute_one_percent(bad: int, most: int) -> None:
    assert above_limit(Counts(most, bad), 0.01) >= THRESHOLD > above_limit(Counts(most + 1, bad), 0.01)


@settings(deadline=None)
@given(batches, batches, limits)
def test_every_figure_is_finite_and_not_negative_whatever_the_limits(
    page: list[Batch], nginx: list[Batch], any_limits: Limits
) -> None:
    sources = gather(page, any_limits), gather(nginx, any_limits)
    for document in (sources[0].document(), joint_document(*sources)):
        assert json.loads(json.dumps(document, allow_nan=False)) == document
        for rule in document.values():
            assert 0 <= rule["bad"] <= rule["requests"]
            for e in (rule["e"], rule["proven_e"]):
                assert 0 <= e <= MAX_E
                # Without an exponent, and whole numbers as such: both policy engines print it alike.
                assert "e" not in repr(e) and not repr(e).endswith(".0")
                assert e == round(e, 4) == float(f"{e:.4g}")


@settings(deadline=None)
@given(batches.flatmap(lambda one: st.tuples(st.just(one), st.permutations(one))))
def test_the_order_of_batches_is_no_matter(orders: tuple[list[Batch], list[Batch]]) -> None:
    found, other = (gather(one).rules() for one in orders)
    for rule, one in found.items():
        assert (other[rule].new, other[rule].stable) == (one.new, one.stable)
        assert other[rule].e == pytest.approx(one.e, rel=1e-9)
        assert other[rule].proven_e == pytest.approx(one.proven_e, rel=1e-9)


@settings(deadline=None)
@given(batches, st.floats(-1e9, 1e9), st.floats(0, 1e6))
def test_the_scale_of_time_is_no_matter(seen: list[Batch], shift: float, stretch: float) -> None:
    def moved(slot: Pair) -> Pair:
        before, after = slot
        return replace(before, time=before.time * stretch + shift), replace(
            after, time=after.time * stretch + shift
        )

    other = [Batch(moved(batch.new), batch.old and moved(batch.old), batch.warm) for batch in seen]
    assert gather(other) == gather(seen)


@pytest.mark.parametrize("seed", range(50))
def test_trouble_that_both_slots_share_fails_no_comparison(seed: int) -> None:
    """Each second has an error rate of its own, from none to all, and a share of the traffic."""
    random = np.random.default_rng(seed)
    found = Comparison()
    for _ in range(60):
        sizes, rate = random.poisson((random.integers(1, 50), random.integers(1, 50))), random.random()
        new, old = (Counts(int(size), int(random.binomial(size, rate))) for size in sizes)
        found = found.after(new, old, 2)
        assert found.above_limit(2) < THRESHOLD


@pytest.mark.parametrize(
    ("limit", "bad", "e", "proven_e"),
    [
        (0, 0, 1, 1),
        (0, 1, MAX_E, 1),
        (-1, 1, MAX_E, 1),
        (0.99, 100, 1, None),
        (1, 100, 1, MAX_E),
        (7, 100, 1, MAX_E),
    ],
)
def test_limits_at_the_ends(limit: float, bad: int, e: float, proven_e: float | None) -> None:
    rule = gather([Batch(pair(100 - bad, bad))], replace(LIMITS, max_error_rate=limit)).rules()[
        "max_error_rate"
    ]
    assert rule.e == e
    assert proven_e in (None, rule.proven_e)
    assert rule.why == (f"a limit of {limit} is too high to be refuted" if limit >= 0.99 else "")


def test_a_limit_that_cannot_be_exceeded_is_not_proven_without_a_request() -> None:
    assert gather([], replace(LIMITS, max_error_rate=1)).rules()["max_error_rate"].proven_e == 1


def test_a_ratio_of_zero_is_refuted_by_the_first_bad_request_beside_stable() -> None:
    none = replace(LIMITS, max_error_ratio=0, max_slow_ratio=0)
    assert gather([Batch(pair(9, 1))], none).rules()["max_error_ratio"].e == 1
    found = gather([Batch(pair(9, 1, slow=1), pair(1, 99, slow=9))], none).rules()
    assert (found["max_error_ratio"].e, found["max_error_ratio"].proven_e) == (MAX_E, 1)
    assert found["max_slow_ratio"].e == MAX_E


@pytest.mark.parametrize("ratio", [1e6, 1e300, math.inf])
def test_a_ratio_without_bound_counts_as_a_million(ratio: float) -> None:
    limits = replace(LIMITS, max_error_ratio=ratio, max_slow_ratio=ratio)
    found = gather([Batch(pair(90, 10, slow=10), pair(900, 1, slow=1))], limits)
    million = gather(
        [Batch(pair(90, 10, slow=10), pair(900, 1, slow=1))], replace(limits, max_error_ratio=1e6)
    )
    assert found.rules()["max_error_ratio"] == million.rules()["max_error_ratio"]
    assert 0 <= found.rules()["max_slow_ratio"].e <= 1


def test_a_ratio_below_one_asks_for_fewer_errors_than_stable_has() -> None:
    alike = [Batch(pair(900, 100), pair(900, 100))]
    assert gather(alike, replace(LIMITS, max_error_ratio=0.25)).rules()["max_error_ratio"].e >= THRESHOLD
    assert gather(alike).rules()["max_error_ratio"].proven_e > 1

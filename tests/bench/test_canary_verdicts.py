"""Simulated canaries: the arrays agree with the evidence that ships, and every table is printed."""

from __future__ import annotations

import re

import numpy as np
import pytest

from bench import canary_verdicts
from bench.canary_traffic import LIMITS, Behaviour, OldPolicy, Scene, latency_shares, simulate
from bench.canary_verdicts import Size
from bench.many_changes import Batch, Ints, ManyChanges
from swiftdeploy_tasks.metrics import Evidence, Scrape

BOUNDS = (0.1, 0.5, 2.5)
TINY = Size(changes=3, ramps=3, step=3, rates=(50,), errors=(0.001,), patience=5)
TABLES = {
    "within the limits": 2,
    "errors of new / stable": 8,
    "five points more": 8,
    "latency of new": 9,
    "trouble of both slots": 10,
    "seconds until found, 50 % / 95 %": 6,
}


def draw(random: np.random.Generator, changes: int) -> tuple[Batch, Ints]:
    """A batch of every change, some without requests, and its buckets."""
    requests = random.poisson(9, changes) * random.integers(0, 2, changes)
    buckets = random.multinomial(requests, random.dirichlet([1] * 4))
    beyond = requests[:, None] - buckets.cumsum(axis=1)[:, :-1]
    return Batch(requests, random.binomial(requests, random.random()), beyond), buckets


def scrape(requests: int, errors: int, buckets: Ints) -> Scrape:
    return Scrape(0.0, requests - errors, errors, bounds=BOUNDS, buckets=tuple(map(int, buckets)))


@pytest.mark.parametrize("seed", range(5))
def test_many_changes_have_the_e_values_of_the_evidence_that_ships(seed: int) -> None:
    random, changes = np.random.default_rng(seed), 4
    many, each = ManyChanges(changes, LIMITS, BOUNDS), [Evidence(LIMITS)] * changes
    zero = scrape(0, 0, np.zeros(4, dtype=np.int64))
    for second in range(8):
        (new, new_buckets), (old, old_buckets) = draw(random, changes), draw(random, changes)
        many.after(new, old, warm=second > 1)
        for at in range(changes):
            seen = scrape(int(new.requests[at]), int(new.errors[at]), new_buckets[at])
            beside = scrape(int(old.requests[at]), int(old.errors[at]), old_buckets[at])
            each[at] = each[at].after(new=(zero, seen), old=(zero, beside), warm=second > 1)
        for rule, values in many.e().items():
            assert values == pytest.approx([one.rules()[rule].e for one in each], rel=1e-9)
    assert many.e().keys() == each[0].rules().keys()


def test_without_boundaries_only_errors_are_judged() -> None:
    assert ManyChanges(2, LIMITS, ()).e().keys() == {"max_error_rate", "max_error_ratio"}


def test_a_scene_has_the_same_outcome_each_time() -> None:
    first, again = (simulate(Scene(50, ((10, 20),), Behaviour(0.3), Behaviour()), 20) for _ in range(2))
    assert (first.evidence == again.evidence).all()


def test_both_slots_are_in_trouble_in_the_seconds_of_it_alone() -> None:
    usual, trouble = Behaviour(), Behaviour(errors=1)
    scene = Scene(10, ((10, 2), (50, 3)), usual, Behaviour(errors=0.5), troubled=trouble, when=range(1, 3))
    assert list(scene.seconds()) == [
        (0, 10, usual, scene.stable),
        (0, 10, trouble, trouble),
        (1, 50, trouble, trouble),
        (1, 50, usual, scene.stable),
        (1, 50, usual, scene.stable),
    ]


def test_the_old_policy_looks_from_twenty_requests_on_and_passes_a_figure_at_its_limit() -> None:
    policy = OldPolicy(3, ())
    by_errors, _ = policy.after(
        Batch(np.array([19, 20, 100]), np.array([9, 1, 1]), np.zeros((3, 0), dtype=np.int64))
    )
    assert list(by_errors) == [False, True, False]


@pytest.mark.parametrize("delayed", [0.0, 0.03])
def test_the_shares_of_latencies_are_those_of_the_distribution(delayed: float) -> None:
    shares = latency_shares(Behaviour(median_ms=100, spread=0.5, delayed=delayed), BOUNDS)
    assert sum(shares) == pytest.approx(1)
    assert shares[0] == pytest.approx((1 - delayed) / 2)


def test_every_table_is_printed_with_its_rows(capsys: pytest.CaptureFixture[str]) -> None:
    canary_verdicts.main(TINY)
    head, *tables, _ = capsys.readouterr().out.split("\n\n")
    assert "cores" in head
    assert {re.split(r"\s{2,}", table)[0]: len(table.splitlines()) - 1 for table in tables} == TABLES

"""The evidence against and for a new release: what counts for which test, and what the document says."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from swiftdeploy_tasks.metrics import Evidence, Scrape, SlotTally, joint_document
from swiftdeploy_tasks.metrics.slot_tally import BOUNDS as NGINX_BOUNDS
from tests.metrics.batches import BOUNDS, LIMITS, Batch, gather, pair

RULES = ["max_error_rate", "max_p99_ms", "max_error_ratio", "max_slow_ratio"]
LATENCY = ["max_p99_ms", "max_slow_ratio"]
KEYS = {"e", "proven_e", "requests", "bad", "stable_requests", "stable_bad", "boundary_ms", "why"}


def figures(rule: dict[str, Any]) -> tuple[object, ...]:
    return tuple(rule[key] for key in ("requests", "bad", "stable_requests", "stable_bad", "boundary_ms"))


def test_without_a_request_nothing_is_known() -> None:
    document = Evidence(LIMITS).document()
    assert list(document) == RULES
    for rule in document.values():
        assert rule.keys() == KEYS
        assert (rule["e"], rule["proven_e"], rule["requests"], rule["why"]) == (1, 1, 0, "")
    assert gather([Batch(pair(), pair())]).document()["max_error_rate"] == document["max_error_rate"]


def test_each_test_states_the_counts_that_it_used() -> None:
    new = pair(38, 3, buckets=(30, 7, 2, 1, 1))
    document = gather([Batch(new, pair(378, 2, buckets=(350, 20, 5, 5, 0))), Batch(pair(10))]).document()
    assert figures(document["max_error_rate"]) == (51, 3, None, None, None)
    assert figures(document["max_p99_ms"]) == (51, 2, None, None, 500)
    assert figures(document["max_error_ratio"]) == (41, 3, 380, 2, None)
    assert figures(document["max_slow_ratio"]) == (41, 1, 380, 0, 1000)
    assert {rule["why"] for rule in document.values()} == {""}


def test_what_was_counted_before_the_first_scrape_does_not_count() -> None:
    assert gather([Batch(pair(0, 0))]).errors.requests == 0


def test_requests_before_the_slot_is_warm_count_for_errors_only() -> None:
    batch = Batch(pair(100, 100, slow=100), pair(100, 100), warm=False)
    document = gather([batch]).document()
    assert [document[rule]["requests"] for rule in RULES] == [200, 0, 200, 0]
    assert [document[rule]["e"] for rule in LATENCY] == [1, 1]
    assert [document[rule]["why"] for rule in RULES] == [""] * 4
    warm = gather([batch, replace(batch, warm=True)]).document()
    assert [warm[rule]["requests"] for rule in RULES] == [400, 200, 400, 200]


@pytest.mark.parametrize(
    "batch", [Batch(pair(50, 9, slow=9)), Batch(pair(50, 9, slow=9), pair()), Batch(pair(), pair(5, 5))]
)
def test_a_batch_in_which_a_slot_has_no_request_changes_no_comparison(batch: Batch) -> None:
    both = Batch(pair(20, 1, slow=2), pair(80, 1, slow=3))
    before, after = gather([both]).rules(), gather([both, batch]).rules()
    assert [after[rule] for rule in RULES if "ratio" in rule] == [
        before[rule] for rule in RULES if "ratio" in rule
    ]


def test_a_page_without_a_histogram_is_judged_by_its_errors() -> None:
    document = gather([Batch(pair(50, 50, bounds=()), pair(900, bounds=()))]).document()
    assert document["max_p99_ms"]["why"] == "the metrics page has no latency histogram"
    assert document["max_slow_ratio"]["why"] == "the latency histograms of the two slots share no boundary"
    assert [figures(document[rule]) for rule in LATENCY] == [(0, 0, None, None, None), (0, 0, 0, 0, None)]
    assert [document[rule]["e"] >= 400 for rule in RULES] == [True, False, True, False]


def test_a_limit_beyond_the_longest_bucket_refutes_nothing() -> None:
    document = gather([Batch(pair(0, 100, slow=100))], replace(LIMITS, max_p99_ms=1500)).document()
    assert (document["max_p99_ms"]["e"], document["max_p99_ms"]["boundary_ms"]) == (1, None)
    assert (
        document["max_p99_ms"]["why"]
        == "the longest latency bucket ends at 1000 ms, below the limit of 1500 ms"
    )


@pytest.mark.parametrize(
    ("limit", "fails_at", "proven_at"), [(500, 500, 500), (300, 500, 250), (0, 100, None)]
)
def test_a_limit_between_two_boundaries_fails_by_the_upper_and_is_proven_by_the_lower(
    limit: float, fails_at: float, proven_at: float | None
) -> None:
    """Latencies between both are on either side of the limit, so they speak neither for nor against it."""
    limits = replace(LIMITS, max_p99_ms=limit)
    for at, ms in enumerate((100, 250, 500, 1000, 1500)):
        found = gather([Batch(pair(1000, buckets=tuple(1000 * (at == one) for one in range(5))))], limits)
        rule = found.rules()["max_p99_ms"]
        assert (rule.e >= 400) is (ms > fails_at)
        assert (rule.proven_e >= 20) is (proven_at is not None and ms <= proven_at)
        assert rule.boundary_ms == fails_at
        assert (rule.why == "") is (fails_at == proven_at)


def test_a_boundary_is_the_limit_in_spite_of_binary_fractions() -> None:
    found = gather([Batch(pair(10, bounds=(0.1, 1.001, 5.0)))], replace(LIMITS, max_p99_ms=1001))
    assert found.rules()["max_p99_ms"].boundary_ms == 1001


def test_slots_are_compared_at_the_boundaries_that_both_histograms_have() -> None:
    new, old = pair(100, bounds=(0.1, 0.3, 1.0), slow=50), pair(900, bounds=(0.1, 0.2, 1.0))
    found = gather([Batch(new, old)])
    assert sorted(found.slow_compared) == [0.1, 1.0]
    apart = gather([Batch(new, pair(900, bounds=(0.2,)))]).document()
    assert apart["max_slow_ratio"]["why"] == "the latency histograms of the two slots share no boundary"


def test_the_boundary_shown_is_the_one_with_the_largest_e_value() -> None:
    new, old = pair(100, buckets=(40, 30, 25, 5, 0)), pair(900, buckets=(700, 195, 5, 0, 0))
    rule = gather([Batch(new, old)]).rules()["max_slow_ratio"]
    assert (rule.boundary_ms, rule.new.bad, rule.stable and rule.stable.bad) == (250, 30, 5)


def test_slow_requests_are_judged_by_the_mean_over_the_boundaries_and_proven_by_the_weakest() -> None:
    found = gather([Batch(pair(100, buckets=(40, 30, 25, 5, 0)), pair(900, buckets=(100, 795, 5, 0, 0)))])
    rule, apart = found.rules()["max_slow_ratio"], found.slow_compared.values()
    assert len(apart) == len(BOUNDS)
    assert rule.e == pytest.approx(sum(one.above_limit(2) for one in apart) / len(BOUNDS))
    assert rule.proven_e == min(one.below_limit(2) for one in apart) < rule.e


def test_a_boundary_that_no_request_exceeded_is_not_shown() -> None:
    rule = gather([Batch(pair(100, buckets=(90, 10, 0, 0, 0)), pair(900, buckets=(800, 100, 0, 0, 0)))])
    assert rule.rules()["max_slow_ratio"].boundary_ms == 100


def test_histograms_that_do_not_follow_each_other_are_left_out() -> None:
    before, after = pair(100, slow=50)
    other = replace(before, bounds=(0.1, 0.2, 0.3, 0.4))
    assert gather([Batch((other, after))]).slow == {}
    back = replace(after, buckets=(9, *after.buckets[1:-1], 6))
    found = gather([Batch((before, after)), Batch((after, back))])
    assert found.slow == gather([Batch((before, after))]).slow


def test_a_histogram_that_appears_with_the_first_request_counts_from_zero() -> None:
    before = Scrape(1.0)
    after = Scrape(2.0, ok=5, bounds=BOUNDS, buckets=(3, 0, 0, 0, 2))
    assert figures(gather([Batch((before, after))]).document()["max_p99_ms"]) == (5, 2, None, None, 500)


def test_the_count_of_nginx_is_a_source_too() -> None:
    tally = SlotTally(ok=90, errors=10, buckets=[0] * len(NGINX_BOUNDS) + [100])
    document = gather([Batch((SlotTally().at(1.0), tally.at(2.0)))]).document()
    assert figures(document["max_error_rate"]) == (100, 10, None, None, None)
    assert figures(document["max_p99_ms"]) == (100, 100, None, None, 500)


# ---- two sources


def test_joint_evidence_is_the_mean_against_and_the_weaker_proof() -> None:
    page, nginx = (
        gather([Batch(pair(300, 12, slow=9), pair(900, 3, slow=2))]),
        gather([Batch(pair(299, 13, slow=8), pair(880, 4, slow=2))]),
    )
    joint, apart = joint_document(page, nginx), (page.rules(), nginx.rules())
    assert joint == joint_document(nginx, page)
    for rule in RULES:
        against, proven = ([getattr(one[rule], name) for one in apart] for name in ("e", "proven_e"))
        assert joint[rule]["e"] == pytest.approx(sum(against) / 2, rel=1e-3, abs=1e-4)
        assert joint[rule]["proven_e"] == pytest.approx(min(proven), rel=1e-3, abs=1e-4)
    assert figures(joint["max_error_rate"]) == (312, 13, None, None, None)
    assert figures(joint["max_error_ratio"]) == (312, 12, 903, 3, None)


def test_one_source_alone_is_its_own_evidence() -> None:
    page = gather([Batch(pair(300, 12), pair(900, 3))])
    assert joint_document(page) == page.document()


def test_a_source_without_a_usable_histogram_does_not_dilute_the_other() -> None:
    page = gather([Batch(pair(100, bounds=()), pair(900, bounds=()))])
    nginx = gather([Batch(pair(100, slow=20), pair(900))])
    joint = joint_document(page, nginx)
    for rule in LATENCY:
        assert joint[rule] == nginx.document()[rule]
    silent = gather([Batch(pair(), pair())])
    assert joint_document(silent, nginx)["max_p99_ms"]["proven_e"] <= 1


# ---- what troubles both


@pytest.mark.parametrize("share", [0.001, 0.01, 0.1, 0.6, 1.0])
def test_errors_and_latencies_that_both_slots_share_fail_no_comparison(share: float) -> None:
    batches = []
    for percent in (10, 50, 90):
        new, old = 1000 * percent // 100, 1000 - 1000 * percent // 100
        slots = [pair(n - int(n * share), int(n * share), slow=int(n * share)) for n in (new, old)]
        batches += [Batch(slots[0], slots[1])] * 20
    found = gather(batches).rules()
    assert found["max_error_ratio"].e <= 1
    assert found["max_slow_ratio"].e <= 1

"""The evidence that a change gathers from the app's pages and from nginx's count."""

from __future__ import annotations

import json
from dataclasses import replace

from swiftdeploy_tasks.metrics import Scrape
from swiftdeploy_tasks.rollout.slot_evidence import SlotEvidence, limits_in
from swiftdeploy_tasks.settings import DEFAULTS

SHIPPED = json.loads((DEFAULTS / "policies" / "data.json").read_text())["limits"]["canary"]
BOUNDS = (0.1, 0.5, 1.0)


def page(at: float, good: int = 0, errors: int = 0, *, slow: int = 0) -> Scrape:
    """What a slot had counted by then; `slow` of its answers took longer than a second."""
    buckets = (good + errors - slow, 0, 0, slow)
    return Scrape(at, good, errors, bounds=BOUNDS, buckets=buckets, uptime=at)


def gathering(*, warmup: float = 0) -> tuple[SlotEvidence, list[str]]:
    said: list[str] = []
    evidence = SlotEvidence(limits_in(SHIPPED), warmup, said.append)
    evidence.begin(0)
    return evidence, said


def test_a_limit_that_a_project_leaves_out_or_writes_as_text_is_the_one_that_ships() -> None:
    own = {"max_error_rate": 0.2, "max_p99_ms": "fast", "max_slow_ratio": True}
    found = limits_in(own)
    assert found == replace(limits_in(SHIPPED), max_error_rate=0.2)


def test_errors_of_the_page_and_of_nginx_are_one_evidence() -> None:
    evidence, _ = gathering()
    evidence.take_page(page(1), None)
    evidence.take_page(page(2, 100), None)
    alone = evidence.document()["max_error_rate"]["e"]
    evidence.take_count(page(1), None)
    evidence.take_count(page(2, 0, 100), None)
    both = evidence.document()["max_error_rate"]
    assert (alone < 1, both["e"] >= 400, both["bad"]) == (True, True, 100)
    assert both["why"] == "as nginx counted"


def test_a_source_that_was_never_read_does_not_weaken_the_other() -> None:
    evidence, _ = gathering()
    evidence.take_count(page(1), None)
    evidence.take_count(page(2, 0, 2), None)
    # Two errors of two requests: the mean of (share / 0.01) squared over the seven alternatives.
    shares = (0.015, 0.02, 0.03, 0.05, 0.1, 0.3, 0.9)
    wanted = sum((share / 0.01) ** 2 for share in shares) / len(shares)
    assert abs(evidence.document()["max_error_rate"]["e"] / wanted - 1) < 0.001


def test_a_restart_of_stable_begins_the_evidence_of_the_pages_again_and_is_said_once() -> None:
    evidence, said = gathering()
    for at, stable in ((1, page(100, 500)), (2, page(101, 600)), (3, page(1, 3)), (4, page(0.5, 1))):
        evidence.take_page(page(at, 10 * at), stable)
    assert evidence.document()["max_error_rate"]["requests"] == 0
    assert len(said) == 1 and "restarted" in said[0]
    evidence.take_page(page(5, 50), page(1.5, 9))
    found = evidence.document()["max_error_ratio"]
    assert (found["requests"], found["stable_requests"]) == (10, 8)


def test_a_batch_in_which_stable_could_not_be_read_is_not_compared() -> None:
    evidence, _ = gathering()
    looks = ((1, page(1, 0)), (2, None), (3, page(3, 900)), (4, page(4, 1000)))
    for at, stable in looks:
        evidence.take_page(page(at, 10 * at), stable)
    found = evidence.document()
    # Of three batches, one had both slots at both of its ends.
    assert (found["max_error_rate"]["requests"], found["max_error_ratio"]["requests"]) == (30, 10)
    assert found["max_error_ratio"]["stable_requests"] == 100


def test_latencies_count_after_the_warm_up_and_errors_at_once() -> None:
    evidence, _ = gathering(warmup=2)
    for at in (1.0, 1.5, 3.0):
        evidence.take_page(page(at, 20 * round(at * 2), slow=10 * round(at * 2)), None)
    found = evidence.document()
    assert (found["max_error_rate"]["requests"], found["max_p99_ms"]["requests"]) == (80, 60)


def test_another_slot_begins_with_a_page_of_its_own() -> None:
    evidence, _ = gathering()
    evidence.take_page(page(1, 1000), None)
    evidence.begin(2)
    evidence.take_page(page(3), None)
    evidence.take_page(page(4, 5), None)
    assert evidence.document()["max_error_rate"]["requests"] == 5

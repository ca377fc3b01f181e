"""The canary policy: the same verdict from both answerers about any question, and what never passes."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swiftdeploy_tasks.errors import GateUnavailable
from swiftdeploy_tasks.gate import Bundle, Question, read_bundle
from swiftdeploy_tasks.gate.embedded import ask_embedded, check_bundle
from swiftdeploy_tasks.metrics import Evidence, Limits, Scrape, window
from tests.gate import case_files
from tests.gate.conftest import POLICIES, Ask, WatchingServer

RULES = [
    "max_client_error_rise",
    "max_error_rate",
    "max_error_ratio",
    "max_p99_ms",
    "max_slow_ratio",
    "min_requests",
]
TESTS = ["max_error_rate", "max_error_ratio", "max_p99_ms", "max_slow_ratio"]
SOUND = case_files.question("canary_sound").input
WATCHED = case_files.question("canary_watched").input

_FIGURES: st.SearchStrategy[Any] = st.integers(0, 3000) | st.floats(0, 2).map(lambda figure: round(figure, 9))
_VALUES: st.SearchStrategy[Any] = _FIGURES | st.sampled_from(
    [
        None,
        True,
        False,
        -1,
        -0.5,
        "",
        "0",
        "none",
        "declared",
        "watch",
        "before",
        "step_end",
        "new",
        "rollback",
    ]
    + [[], {}, {"mode": "stable"}, {"seconds": 1, "requests": 0}, {"seconds": 3.5, "requests": 40}]
)
_PLACES = st.sampled_from(
    [(key,) for key in WATCHED]
    + [
        (side, key)
        for side in ("window", "clients", "beside")
        for key in ("seconds", "requests", "error_rate", "client_error_rate", "p99_ms", "beyond_ms")
    ]
    + [("current", "version"), ("target", "mode"), ("rollout", "min_requests"), ("reason",)]
)
_EVIDENCE_PLACES = st.tuples(
    st.just("evidence"), st.sampled_from(TESTS), st.sampled_from(sorted(WATCHED["evidence"][TESTS[0]]))
)
_EVIDENCE_VALUES = st.sampled_from([0, 1, 19.99, 20, 399.9, 400, 999_999.5, 10**6, 10**9, 0.0123, 3e-05])


def changed(base: Mapping[str, Any], changes: Sequence[tuple[tuple[str, ...], Any]]) -> dict[str, Any]:
    document = copy.deepcopy(dict(base))
    for (*steps, last), value in changes:
        place: Any = document
        for step in steps:
            place = place.get(step) if isinstance(place, dict) else None
        if isinstance(place, dict):
            place[last] = copy.deepcopy(value)
    return document


@settings(deadline=None)
@given(
    phase=st.sampled_from(["before", "watch", "step_end"]),
    changes=st.lists(st.tuples(_PLACES, _VALUES), max_size=4),
    evidence=st.lists(st.tuples(_EVIDENCE_PLACES, _EVIDENCE_VALUES | _VALUES), max_size=4),
)
def test_both_answerers_agree_about_any_question(
    phase: str,
    changes: list[tuple[tuple[str, ...], Any]],
    evidence: list[tuple[tuple[str, ...], Any]],
    opa: WatchingServer,
    bundle: Bundle,
) -> None:
    question = Question("canary", changed(WATCHED, [(("phase",), phase), *changes, *evidence]))
    server, embedded = opa.ask(question, bundle), ask_embedded(question, bundle)
    assert (server.word, server.checks) == (embedded.word, embedded.checks)


def test_every_rule_yields_one_check_that_carries_its_limit(ask: Ask, bundle: Bundle) -> None:
    verdict = ask(Question("canary", {}), bundle)
    assert [check.rule for check in verdict.checks] == RULES
    assert {check.rule: check.limit for check in verdict.checks}.items() <= bundle.limits("canary").items()
    assert not verdict.allow


def test_canary_loads_and_refuses_an_empty_input(bundle: Bundle) -> None:
    check_bundle(bundle, required=["canary"])


def test_no_limit_is_inside_the_canary_policy() -> None:
    lowered = {"max_error_rate": 1, "max_p99_ms": 90_000.5, "min_requests": 5}
    bundle = read_bundle(POLICIES, {"canary": lowered})
    figures = {"seconds": 1, "requests": 5, "error_rate": 1, "p99_ms": 90_000.5}
    assert ask_embedded(Question("canary", changed(SOUND, [(("window",), figures)])), bundle).allow
    figures["requests"] = 4
    verdict = ask_embedded(Question("canary", changed(SOUND, [(("window",), figures)])), bundle)
    assert [check.rule for check in verdict.failed] == ["min_requests"]


@pytest.mark.parametrize(
    ("errors", "slowest", "failed"),
    [
        (0, (100, 0, 0), []),
        (1, (99, 1, 0), []),
        (2, (98, 2, 0), ["max_error_rate"]),
        (0, (98, 0, 2), ["max_p99_ms"]),
        (90, (10, 0, 90), ["max_error_rate", "max_p99_ms"]),
    ],
)
def test_measured_windows_are_judged_as_they_are(
    errors: int, slowest: tuple[int, ...], failed: list[str], ask: Ask, bundle: Bundle
) -> None:
    after = Scrape(10.0, ok=100 - errors, errors=errors, bounds=(0.25, 0.5), buckets=slowest, uptime=10.0)
    question = Question("canary", changed(SOUND, [(("window",), window(None, after).document())]))
    assert [check.rule for check in ask(question, bundle).failed] == failed


NO_EVIDENCE: dict[str, tuple[tuple[str, ...], Any]] = {
    "left away": (("evidence",), None),
    "a list": (("evidence",), []),
    **{f"{test} left away": (("evidence", test), None) for test in TESTS},
    **{
        f"no {name}": (("evidence", "max_p99_ms", name), None)
        for name in ("e", "proven_e", "requests", "bad")
    },
    "text": (("evidence", "max_error_rate", "e"), "0"),
    "a truth": (("evidence", "max_error_rate", "e"), True),
    "negative": (("evidence", "max_error_rate", "e"), -0.001),
    "proven by text": (("evidence", "max_error_rate", "proven_e"), "100"),
    "a negative count": (("evidence", "max_p99_ms", "bad"), -1),
    "more bad ones than requests": (("evidence", "max_error_rate", "bad"), 1201),
    "no reason": (("evidence", "max_error_rate", "why"), None),
    "stable's requests are missing": (("evidence", "max_error_ratio", "stable_requests"), None),
    "stable's bad ones are text": (("evidence", "max_slow_ratio", "stable_bad"), "0"),
    "more bad ones of stable than its requests": (("evidence", "max_slow_ratio", "stable_bad"), 10351),
}


@pytest.mark.parametrize("phase", ["watch", "step_end"])
@pytest.mark.parametrize("case", NO_EVIDENCE)
def test_a_step_is_not_judged_by_evidence_that_is_not_whole(case: str, phase: str, bundle: Bundle) -> None:
    question = Question("canary", changed(WATCHED, [(("phase",), phase), NO_EVIDENCE[case]]))
    verdict = ask_embedded(question, bundle)
    assert [check.rule for check in verdict.failed] == RULES
    assert all("input.evidence must have" in check.message for check in verdict.failed)


@pytest.mark.parametrize("figure", [float("nan"), float("inf")])
def test_evidence_that_is_not_finite_is_no_question(figure: float, ask: Ask, bundle: Bundle) -> None:
    question = Question("canary", changed(WATCHED, [(("evidence", "max_error_rate", "e"), figure)]))
    with pytest.raises(GateUnavailable, match="cannot be put as JSON"):
        ask(question, bundle)


def test_the_evidence_that_fails_a_release_is_a_limit_in_data() -> None:
    bundle = read_bundle(POLICIES, {"canary": {"evidence": 1000}})
    for e, word in ((999.9, "pass"), (1000, "fail")):
        question = Question("canary", changed(WATCHED, [(("evidence", "max_error_rate", "e"), e)]))
        assert ask_embedded(question, bundle).word == word


def test_a_check_carries_its_evidence_and_what_it_says(ask: Ask, bundle: Bundle) -> None:
    changes = [(("evidence", "max_slow_ratio", "e"), 400), (("evidence", "max_error_rate", "proven_e"), 1)]
    question = Question("canary", changed(WATCHED, changes))
    found = {check.rule: check.evidence for check in ask(question, bundle).checks if check.evidence}
    words = dict(zip(TESTS, ("undecided", "pass", "pass", "fail"), strict=True))
    assert found == {rule: {**question.input["evidence"][rule], "verdict": words[rule]} for rule in TESTS}


def test_a_check_that_failed_for_another_reason_says_so_in_its_evidence(ask: Ask, bundle: Bundle) -> None:
    unread = [(("window",), None), (("unreadable",), 2)]
    checks = ask(Question("canary", changed(WATCHED, unread)), bundle).checks
    assert {check.evidence["verdict"] for check in checks if check.evidence} == {"fail"}


@pytest.mark.parametrize(
    ("new", "stable", "word", "failed"),
    [
        ((0, 0, 0), (9000, 9, 0), "undecided", []),
        ((100, 0, 0), (900, 1, 0), "undecided", []),
        ((1000, 1, 1), (9000, 9, 9), "pass", []),
        ((1000, 60, 0), (9000, 540, 0), "fail", ["max_error_rate"]),
        ((1000, 8, 0), (9000, 0, 0), "fail", ["max_error_ratio"]),
        ((1000, 0, 60), (9000, 0, 540), "fail", ["max_p99_ms"]),
        ((1000, 0, 8), (9000, 0, 0), "fail", ["max_slow_ratio"]),
    ],
)
def test_gathered_evidence_is_judged_as_it_is(
    new: tuple[int, int, int],
    stable: tuple[int, int, int],
    word: str,
    failed: list[str],
    ask: Ask,
    bundle: Bundle,
) -> None:
    """Each slot answers `requests`, so many of them with an error and so many after 0.5 s."""
    limits = {name: bundle.limits("canary")[name] for name in TESTS}
    evidence = Evidence(Limits(**limits)).after(new=_batch(*new), old=_batch(*stable), warm=True)
    figures = window(*_batch(*new)).document()
    changes = [
        (("evidence",), evidence.document()),
        (("window",), figures),
        (("clients", "requests"), new[0]),
    ]
    verdict = ask(Question("canary", changed(WATCHED, changes)), bundle)
    assert (verdict.word, [check.rule for check in verdict.failed]) == (word, failed)


def _batch(requests: int, errors: int, slow: int) -> tuple[Scrape, Scrape]:
    buckets = (requests - slow, slow)
    return (
        Scrape(10.0, bounds=(0.5,), buckets=(0, 0), uptime=10.0),
        Scrape(40.0, requests - errors, errors, bounds=(0.5,), buckets=buckets, uptime=40.0),
    )

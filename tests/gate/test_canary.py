"""The canary policy: the same verdict from both answerers about any question, and what never passes."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swiftdeploy_tasks.gate import Bundle, Question, read_bundle
from swiftdeploy_tasks.gate.embedded import ask_embedded, check_bundle
from swiftdeploy_tasks.metrics import Scrape, window
from tests.gate import case_files
from tests.gate.conftest import POLICIES, Ask, WatchingServer

RULES = ["max_client_error_rise", "max_error_rate", "max_p99_ms", "min_requests"]
SOUND = case_files.question("canary_sound").input

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
    [(key,) for key in SOUND]
    + [
        (side, key)
        for side in ("window", "clients", "beside")
        for key in ("seconds", "requests", "error_rate", "client_error_rate", "p99_ms", "beyond_ms")
    ]
    + [("current", "version"), ("target", "mode"), ("rollout", "min_requests"), ("reason",)]
)


def changed(changes: list[tuple[tuple[str, ...], Any]]) -> dict[str, Any]:
    document = copy.deepcopy(dict(SOUND))
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
    changes=st.lists(st.tuples(_PLACES, _VALUES), min_size=1, max_size=4),
)
def test_both_answerers_agree_about_any_question(
    phase: str, changes: list[tuple[tuple[str, ...], Any]], opa: WatchingServer, bundle: Bundle
) -> None:
    question = Question("canary", changed([(("phase",), phase), *changes]))
    assert opa.ask(question, bundle).checks == ask_embedded(question, bundle).checks


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
    assert ask_embedded(Question("canary", changed([(("window",), figures)])), bundle).allow
    figures["requests"] = 4
    verdict = ask_embedded(Question("canary", changed([(("window",), figures)])), bundle)
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
    question = Question("canary", changed([(("window",), window(None, after).document())]))
    assert [check.rule for check in ask(question, bundle).failed] == failed

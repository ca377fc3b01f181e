"""The problem that a picture reports, the most severe first."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from swiftdeploy_tasks.model.state import Traffic
from swiftdeploy_tasks.rollout.gap import Gap
from swiftdeploy_tasks.rollout.planner import Deed
from swiftdeploy_tasks.status.compliance import Unanswered
from swiftdeploy_tasks.status.picture import Picture, concern
from tests.status.values import SAMPLE, check, picture, verdict

SICK: dict[str, Any] = {"slots": {"blue": replace(SAMPLE, healthy=False), "green": None}}
DRIFT: dict[str, Any] = {"drift": (Deed("update", "nginx.conf", "edited by hand"),)}
REFUSED = verdict(check(passed=False, observed=900))
UNASKED = Unanswered("isolation", ("non_root",), "nothing listens at http://127.0.0.1:8181")
EARLY = Unanswered("canary", ("max_p99_ms",), "no window yet", early=True)


def code(found: Picture) -> int:
    problem = concern(found)
    return problem.exit_code if problem else 0


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, 0),
        ({"compliance": (EARLY,)}, 0),
        (DRIFT, 9),
        (DRIFT | {"compliance": (REFUSED,)}, 3),
        (DRIFT | {"compliance": (REFUSED, UNASKED)}, 4),
        (DRIFT | SICK | {"compliance": (REFUSED, UNASKED)}, 6),
        ({"slots": {"blue": None, "green": None}}, 6),
        ({"traffic": Traffic(), "proxy": "does not run"}, 6),
        ({"traffic": Traffic({"green": 100}), "slots": {"blue": SICK["slots"]["blue"], "green": SAMPLE}}, 0),
    ],
    ids=[
        "all is well",
        "too soon to ask",
        "drift",
        "a failed rule before drift",
        "no answer of the engine before a failed rule",
        "a sick slot with traffic before all",
        "the slot with the traffic is gone",
        "no release serves",
        "a sick slot without traffic is no problem",
    ],
)
def test_the_gravest_concern_gives_the_exit_code(changes: dict[str, Any], expected: int) -> None:
    assert code(picture(**changes)) == expected


def test_nothing_deployed_is_no_problem() -> None:
    assert code(Picture("2026-03-01T12:00:00Z", "shop", "local")) == 0


def test_what_is_not_known_is_null_in_the_document_and_never_a_yes() -> None:
    (found,) = picture(compliance=(UNASKED,)).document()["compliance"]
    assert found["allow"] is None
    assert [(one["rule"], one["passed"]) for one in found["checks"]] == [("non_root", None)]


def test_without_a_serving_release_the_document_has_no_url() -> None:
    document = picture(traffic=Traffic()).document()
    assert (document["mode"], document["version"], document["url"]) == (None, None, None)


@pytest.mark.parametrize(
    ("can_go_back", "next_command"),
    [(True, "invoke rollback"), (False, "correct the app, then: invoke deploy")],
)
def test_an_unhealthy_slot_calls_for_a_command_that_can_work(can_go_back: bool, next_command: str) -> None:
    problem = concern(picture(**SICK, can_go_back=can_go_back))
    assert problem is not None
    assert problem.next == next_command


def test_a_gap_between_two_releases_calls_for_the_command_that_ends_it() -> None:
    left = Gap("deploy was interrupted between two releases", "invoke rollback")
    problem = concern(picture(traffic=Traffic(), slots={"blue": None, "green": None}, gap=left))
    assert problem is not None
    assert (problem.exit_code, problem.message, problem.next) == (6, left.message, left.next)

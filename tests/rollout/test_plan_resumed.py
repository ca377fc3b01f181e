"""Plans that go on with a rollout that is held."""

from __future__ import annotations

from dataclasses import replace

import pytest

from swiftdeploy_tasks.model.state import State
from swiftdeploy_tasks.rollout.planner import plan
from tests.rollout.plan_states import NEW, OLD, OTHER_CONFIG, THIRD, occupied, standing, told, wanted

GOAL = replace(wanted(NEW, shares=(10, 50, 100), watched=True), resumes=True)
HELD = standing(occupied(OLD), occupied(NEW), shares=(90, 10))
ENDING = ["route: green 100 %, blue as backup", "verify public port", "route: green 100 %", "remove app-blue"]


def test_the_next_share_is_taken_without_a_step_back() -> None:
    assert told(plan(HELD, GOAL)) == ["route: blue 50 %, green 50 %", *ENDING]


def test_one_that_is_held_at_100_percent_ends() -> None:
    held = standing(occupied(OLD), occupied(NEW), shares=(0, 100), backup="blue")
    assert told(plan(held, GOAL)) == ["route: green 100 %", "remove app-blue"]


def test_a_share_that_the_manifest_no_longer_has_is_followed_by_the_next_larger_one() -> None:
    held = standing(occupied(OLD), occupied(NEW), shares=(70, 30))
    assert told(plan(held, GOAL)) == ["route: blue 50 %, green 50 %", *ENDING]


@pytest.mark.parametrize(
    "there",
    [
        standing(occupied(OLD), occupied(NEW), shares=(100, 0)),
        standing(occupied(OLD), occupied(THIRD), shares=(90, 10)),
        standing(occupied(OLD), occupied(NEW, healthy=False), shares=(90, 10)),
        replace(HELD, proxy=OTHER_CONFIG),
    ],
    ids=["nginx started again", "another release", "unhealthy", "other nginx settings"],
)
def test_one_that_cannot_go_on_begins_with_the_first_share(there: State) -> None:
    assert "route: blue 90 %, green 10 %" in told(plan(there, GOAL))

"""Plans as a table of what is there and what is wanted."""

from __future__ import annotations

from dataclasses import replace

import pytest

from swiftdeploy_tasks.model.state import Placement, State
from swiftdeploy_tasks.rollout.planner import Goal, effect_on_requests, plan, way_back
from tests.rollout.plan_states import (
    HUNG,
    NEW,
    OLD,
    OTHER_CONFIG,
    OTHER_PORTS,
    THIRD,
    occupied,
    release,
    standing,
    told,
    wanted,
)

OLD_SERVES = standing(occupied(OLD), shares=(100, 0))

TAKES_OVER = [
    "start app-green",
    "wait app-green",
    "route: green 100 %, blue as backup",
    "verify public port",
    "route: green 100 %",
    "remove app-blue",
]
FROM_NOTHING = ["start app-blue", "wait app-blue", "route: blue 100 %", "verify public port"]

TABLE: dict[str, tuple[State, Goal, list[str]]] = {
    "a first deploy starts nginx before the slot, and goes to 100 at once": (
        State(),
        wanted(shares=(10, 50, 100), confirmed=""),
        ["start nginx", *FROM_NOTHING],
    ),
    "what runs already is left alone": (
        OLD_SERVES,
        wanted(OLD),
        [],
    ),
    "what runs already is left alone, also in green and where its confirmation was lost": (
        standing(green=occupied(OLD), shares=(0, 100)),
        wanted(OLD, confirmed=""),
        [],
    ),
    "a new version takes over, and the old slot goes last": (
        OLD_SERVES,
        wanted(NEW),
        TAKES_OVER,
    ),
    "the other mode is another release": (
        OLD_SERVES,
        wanted(release("1", "canary")),
        TAKES_OVER,
    ),
    "the same release run in another way is replaced": (
        standing(occupied(OLD, spec="former memory"), shares=(100, 0)),
        wanted(OLD),
        TAKES_OVER,
    ),
    "several steps move the traffic bit by bit": (
        OLD_SERVES,
        wanted(NEW, shares=(10, 50, 100)),
        [
            "start app-green",
            "wait app-green",
            "route: blue 90 %, green 10 %",
            "route: blue 50 %, green 50 %",
            *TAKES_OVER[2:],
        ],
    ),
    "another configuration of nginx is one reload": (
        replace(OLD_SERVES, proxy=OTHER_CONFIG),
        wanted(OLD),
        ["reload nginx"],
    ),
    "other ports are one new nginx": (
        replace(OLD_SERVES, proxy=OTHER_PORTS),
        wanted(OLD),
        ["recreate nginx"],
    ),
    "nginx is brought to its new form before a new version starts": (
        replace(OLD_SERVES, proxy=OTHER_CONFIG),
        wanted(NEW),
        ["reload nginx", *TAKES_OVER],
    ),
    "a slot that stopped makes room, and gets no traffic meanwhile": (
        standing(occupied(OLD, live=False, healthy=None), shares=(100, 0)),
        wanted(OLD),
        ["route: none (503)", "remove app-blue", *FROM_NOTHING],
    ),
    "a slot that is gone is not sent anybody meanwhile": (
        standing(shares=(100, 0)),
        wanted(OLD),
        ["route: none (503)", *FROM_NOTHING],
    ),
    "half the traffic goes back to the slot that lives when the other one died": (
        standing(occupied(OLD), occupied(NEW, live=False, healthy=None), shares=(50, 50)),
        wanted(NEW),
        ["route: blue 100 %", "verify public port", "remove app-green", *TAKES_OVER],
    ),
    "a leftover that is just what is wanted is used": (
        standing(occupied(OLD), occupied(NEW), shares=(100, 0)),
        wanted(NEW),
        TAKES_OVER[2:],
    ),
    "a leftover that is not healthy is replaced": (
        standing(occupied(OLD), occupied(NEW, healthy=False), shares=(100, 0)),
        wanted(NEW),
        ["remove app-green", *TAKES_OVER],
    ),
    "a leftover of another release makes room first": (
        standing(occupied(OLD), occupied(THIRD), shares=(100, 0)),
        wanted(NEW),
        ["remove app-green", *TAKES_OVER],
    ),
    "a leftover beside what is wanted is removed": (
        standing(occupied(OLD), occupied(THIRD), shares=(100, 0)),
        wanted(OLD),
        ["route: blue 100 %", "remove app-green"],
    ),
    "a slot that was not made by us makes room": (
        standing(occupied(OLD), Placement(None, ""), shares=(100, 0)),
        wanted(NEW),
        ["remove app-green", *TAKES_OVER],
    ),
    "cut off between two shares, the confirmed release takes all before it starts again": (
        standing(occupied(OLD), occupied(NEW), shares=(50, 50)),
        wanted(NEW, shares=(50, 100)),
        ["route: blue 100 %", "verify public port", "route: blue 50 %, green 50 %", *TAKES_OVER[2:]],
    ),
    "cut off at 100, the successor keeps the traffic and the old slot goes": (
        standing(occupied(OLD), occupied(NEW), shares=(0, 100), backup="blue"),
        wanted(NEW),
        ["route: green 100 %", "remove app-blue"],
    ),
    "a change of mind in mid-rollover goes back by traffic alone": (
        standing(occupied(OLD), occupied(NEW), shares=(50, 50)),
        wanted(OLD),
        ["route: blue 100 %", "verify public port", "remove app-green"],
    ),
    "without nginx, the confirmed release is served again": (
        standing(occupied(OLD, healthy=None), proxy=None),
        wanted(OLD),
        ["start nginx"],
    ),
    "an nginx that does not answer is restarted": (
        standing(occupied(OLD, healthy=None), proxy=HUNG),
        wanted(OLD),
        ["recreate nginx"],
    ),
    "without nginx, the confirmed release serves while its successor starts": (
        standing(occupied(OLD, healthy=None), proxy=None),
        wanted(NEW),
        ["start nginx", *TAKES_OVER],
    ),
}


@pytest.mark.parametrize("case", TABLE)
def test_steps(case: str) -> None:
    observed, goal, expected = TABLE[case]
    assert told(plan(observed, goal)) == expected


def test_every_share_below_all_is_watched_before_the_next() -> None:
    steps = told(plan(OLD_SERVES, wanted(NEW, shares=(10, 50, 100))), waiting=True)
    assert steps[2:6] == [
        "route: blue 90 %, green 10 %",
        "watch app-green",
        "route: blue 50 %, green 50 %",
        "watch app-green",
    ]


def test_a_watched_slot_is_watched_at_100_with_the_old_one_behind_it_and_not_drained() -> None:
    steps = plan(OLD_SERVES, wanted(NEW, watched=True))
    assert told(steps, waiting=True) == [
        "start app-green",
        "wait app-green",
        "route: green 100 %, blue as backup",
        "verify public port",
        "watch app-green",
        "drain app-blue",
        "route: green 100 %",
        "remove app-blue",
    ]
    assert [step.then.traffic.counted for step in steps] == [True] * 6 + [False] * 2


def test_a_first_deploy_is_watched_and_then_counted_no_more() -> None:
    steps = plan(State(), wanted(NEW, confirmed="", watched=True))
    assert told(steps, waiting=True)[-4:] == [
        "route: blue 100 %",
        "verify public port",
        "watch app-blue",
        "route: blue 100 %",
    ]
    assert [step.then.traffic.counted for step in steps[-4:]] == [True, True, True, False]


@pytest.mark.parametrize("old", [None, occupied(OLD, live=False)], ids=["alone", "beside a dead one"])
def test_what_serves_and_was_never_confirmed_is_watched(old: Placement | None) -> None:
    steps = plan(standing(old, occupied(NEW), shares=(0, 100)), wanted(NEW, watched=True))
    assert told(steps, waiting=True)[-2:] == ["watch app-green", "route: green 100 %"]
    assert [step.then.traffic.counted for step in steps[-2:]] == [True, False]


@pytest.mark.parametrize(
    "observed",
    [
        OLD_SERVES,
        standing(occupied(OLD), occupied(THIRD), shares=(100, 0)),
        standing(occupied(OLD), occupied(THIRD), shares=(50, 50)),
        standing(occupied(OLD), occupied(NEW), shares=(0, 100), backup="blue"),
    ],
)
def test_no_slot_is_removed_before_requests_on_their_way_to_it_are_answered(observed: State) -> None:
    steps = plan(observed, wanted(NEW))
    for at, step in enumerate(steps):
        if step.action == "remove":
            routed = max((i for i, s in enumerate(steps[:at]) if s.action == "route"), default=-1)
            before = told(steps[:at], waiting=True)
            assert f"drain {step.target}" in before
            lost = steps[routed].then.traffic if routed >= 0 else None
            assert lost is None or (step.slot and not lost.of(step.slot))


def test_a_green_that_serves_is_succeeded_by_blue() -> None:
    steps = plan(standing(green=occupied(OLD), shares=(0, 100)), wanted(NEW))
    assert told(steps) == [
        "start app-blue",
        "wait app-blue",
        "route: blue 100 %, green as backup",
        "verify public port",
        "route: blue 100 %",
        "remove app-green",
    ]


def test_a_new_nginx_is_said_to_cut_connections() -> None:
    (step,) = plan(replace(OLD_SERVES, proxy=OTHER_PORTS), wanted(OLD))
    assert "connections are cut" in step.reason


@pytest.mark.parametrize(
    ("observed", "goal", "effect"),
    [
        (OLD_SERVES, wanted(OLD), ""),
        (State(), wanted(NEW), "requests are served once nginx has started"),
        (OLD_SERVES, wanted(NEW), "no request is lost"),
        (replace(OLD_SERVES, proxy=OTHER_PORTS), wanted(NEW), "nginx restarts: open connections are cut"),
    ],
)
def test_a_plan_says_what_happens_to_requests(observed: State, goal: Goal, effect: str) -> None:
    assert effect_on_requests(plan(observed, goal)).startswith(effect)
    assert bool(effect) == bool(effect_on_requests(plan(observed, goal)))


def test_a_plan_says_that_requests_get_503_while_no_slot_can_serve() -> None:
    stopped = standing(occupied(OLD, live=False, healthy=None), shares=(100, 0))
    assert "503" in effect_on_requests(plan(stopped, wanted(OLD)))


def test_without_overlap_the_old_slot_is_gone_before_the_new_one_starts() -> None:
    steps = plan(OLD_SERVES, replace(wanted(NEW, shares=(10, 100), watched=True), overlap=False))
    assert told(steps, waiting=True) == [
        "route: none (503)",
        "drain app-blue",
        "remove app-blue",
        "start app-green",
        "wait app-green",
        "route: green 100 %",
        "verify public port",
        "watch app-green",
        "route: green 100 %",
    ]
    assert all(len(step.then.slots) <= 1 for step in steps)
    assert effect_on_requests(steps).startswith("requests get 503 with Retry-After")


def test_without_overlap_a_leftover_is_removed_before_what_serves() -> None:
    both = standing(occupied(OLD), occupied(THIRD), shares=(50, 50))
    steps = told(plan(both, replace(wanted(NEW), overlap=False)))
    assert steps[:3] == ["route: blue 100 %", "verify public port", "remove app-green"]
    assert steps.index("remove app-blue") < steps.index("start app-green")


def test_without_overlap_a_serving_release_that_is_wanted_stays() -> None:
    assert plan(OLD_SERVES, replace(wanted(OLD), overlap=False)) == ()


def test_a_reload_is_not_said_to_cut_connections() -> None:
    (step,) = plan(replace(OLD_SERVES, proxy=OTHER_CONFIG), wanted(OLD))
    assert step.reason == "configuration changed"


@pytest.mark.parametrize(
    ("observed", "goal", "reason"),
    [
        (State(), wanted(NEW), "version 2 (stable)"),
        (OLD_SERVES, wanted(NEW), "version 2 (stable) replaces 1 (stable)"),
        (OLD_SERVES, wanted(release("1", "canary")), "version 1 (canary) replaces 1 (stable)"),
    ],
)
def test_a_start_says_what_is_wanted_and_what_runs(observed: State, goal: Goal, reason: str) -> None:
    (start,) = [step for step in plan(observed, goal) if step.slot and step.action == "start"]
    assert start.reason == reason


def test_a_slot_that_is_not_healthy_is_never_a_backup() -> None:
    sick = standing(occupied(OLD, healthy=False), shares=(100, 0))
    assert all(step.then.traffic.backup is None for step in plan(sick, wanted(NEW)))


def test_an_unhealthy_successor_at_100_gives_way_to_the_confirmed_slot_before_anything_is_removed() -> None:
    cut_off = standing(occupied(OLD), occupied(NEW, healthy=False), shares=(0, 100), backup="blue")
    steps = told(plan(cut_off, wanted(NEW)))
    assert steps[0] == "route: blue 100 %"
    assert steps.index("remove app-green") < steps.index("start app-green") < steps.index("remove app-blue")


def test_a_healthy_successor_does_not_give_way_to_a_confirmed_slot_that_is_sick() -> None:
    cut_off = standing(occupied(OLD, healthy=False), occupied(NEW), shares=(90, 10))
    assert all(step.then.traffic.of("green") >= 10 for step in plan(cut_off, wanted(NEW)))


def test_a_leftover_that_could_not_be_asked_is_healthy_before_it_gets_traffic() -> None:
    nginx_gone = standing(occupied(OLD, healthy=None), occupied(NEW, healthy=None), proxy=None)
    steps = told(plan(nginx_gone, wanted(NEW)))
    assert "wait app-green" in steps
    assert steps.index("wait app-green") < steps.index("route: green 100 %, blue as backup")


def test_an_undo_gives_the_traffic_back_before_it_removes_what_the_change_started() -> None:
    now = standing(occupied(OLD), occupied(NEW), shares=(50, 50))
    steps = way_back(now, "blue", ["green"], is_routed=False)
    assert [(step.action, step.target) for step in steps] == [
        ("route", "nginx"),
        ("drain", "app-green"),
        ("remove", "app-green"),
    ]
    assert all(step.then.traffic.weights == {"blue": 100} for step in steps)
    assert steps[-1].then.slots.keys() == {"blue"}
    assert way_back(now, "blue", [], is_routed=True) == ()

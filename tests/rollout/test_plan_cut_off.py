"""The laws that traffic keeps after every step of a plan, however often the verb that runs it is cut off.

Steps have effects in a small world; health is a fact there, seen through an nginx that answers, or past it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swiftdeploy_tasks.model.release import SLOTS, Release, Slot
from swiftdeploy_tasks.model.state import Difference, Placement, Proxy, State, Traffic
from swiftdeploy_tasks.rollout.planner import Goal, Step, plan
from tests.rollout.plan_states import (
    HUNG,
    NEW,
    NGINX,
    OLD,
    OTHER_CONFIG,
    OTHER_PORTS,
    SPEC,
    THIRD,
    occupied,
    wanted,
)

CHANGED = Difference("the memory", "256 MiB", "512 MiB")


@dataclass
class World:
    """What there is; `known` are the slots in the last configuration of nginx.

    `is_reached` says whether the slots can be asked past an nginx that is silent.
    """

    proxy: Proxy | None
    slots: dict[Slot, Placement] = field(default_factory=dict)
    traffic: Traffic = field(default_factory=Traffic)
    known: frozenset[Slot] = frozenset()
    is_reached: bool = False

    def __post_init__(self) -> None:
        self.known = frozenset(self.slots)

    def seen(self) -> State:
        if self.proxy and self.proxy.live:
            up_to_date = self.known == self.slots.keys()
            proxy = self.proxy if up_to_date else replace(self.proxy, config="")
            return State(proxy, dict(self.slots), self.traffic)
        told = {
            s: there if self.is_reached else replace(there, healthy=None) for s, there in self.slots.items()
        }
        return State(self.proxy, told, Traffic())

    def answers(self, slot: Slot | None) -> bool:
        there = self.slots.get(slot) if slot else None
        return bool(there and there.live and there.healthy)

    def perform(self, step: Step) -> None:
        """Do what the step's words say, and no more; then hold `then` against what has become of it."""
        then, slot = step.then, step.slot
        if step.target == "nginx":
            assert step.action in {"start", "recreate"} or (self.proxy and self.proxy.live), (
                "no nginx to reload"
            )
            assert (step.action == "start") == (self.proxy is None), "start is for an nginx that is not there"
            self.proxy, self.traffic = then.proxy, then.traffic
            self.known = frozenset(then.slots)
        elif step.action == "start":
            assert slot and slot not in self.slots, "the slot is taken"
            self.slots[slot] = replace(then.slots[slot], live=True, healthy=False)
            assert replace(then.traffic, counted=False) == replace(self.traffic, counted=False)
            self.traffic = then.traffic
        elif step.action == "wait":
            assert slot
            self.slots[slot] = replace(self.slots[slot], healthy=True)
        elif step.action == "verify":
            assert slot and self.traffic.of(slot) == 100
        elif step.action == "watch":
            assert slot and 0 < self.traffic.of(slot) <= 100
            assert self.traffic.of(slot) < 100 or self.traffic.counted
        elif step.action == "drain":
            assert slot and not self.traffic.of(slot), "it would never run dry"
        else:
            assert (step.action, slot) == ("remove", slot) and slot
            assert not self.traffic.of(slot) and self.traffic.backup != slot, "traffic is lost"
            del self.slots[slot]
        assert (then.proxy, then.traffic) == (self.proxy, self.traffic)
        assert then.slots.keys() <= self.slots.keys()
        reached = {*self.traffic.weights, self.traffic.backup} & self.slots.keys()
        assert reached <= then.slots.keys(), "nginx would lose the address of a slot that it sends to"
        assert all(there.release == self.slots[s].release for s, there in then.slots.items())


def hold(before: Traffic, world: World, confirmed: str, why: str, *, asked: bool) -> None:
    """The laws of traffic, after any step; `asked` where nginx could tell who is healthy before the first."""
    now = world.traffic
    assert sum(now.weights.values()) in {0, 100}, why
    if now == before:
        return
    gains = [slot for slot in SLOTS if now.of(slot) > before.of(slot)]
    losers = [slot for slot in SLOTS if now.of(slot) < before.of(slot)]
    assert all(slot in world.slots and world.slots[slot].live for slot in now.weights), why
    if now.backup:
        assert now.backup in world.slots and not now.of(now.backup), why
        assert world.answers(now.backup) or not asked, f"a backup that does not answer: {why}"
    assert now.weights or not any(world.answers(slot) for slot in losers), f"no release serves: {why}"
    if any(world.answers(slot) for slot in losers):
        assert all(world.answers(slot) for slot in gains), (
            f"from a slot that answers to one that does not: {why}"
        )
    for slot in (slot for slot in gains if not before.of(slot)):
        served = world.slots[slot].release
        assert world.answers(slot) or (served and served.id == confirmed), f"not healthy: {why}"


def follow(world: World, goal: Goal, *, at_most: int = 99) -> None:
    """Run the plan in this world, or its first steps, with every law held after each."""
    asked = world.is_reached or (world.proxy is not None and world.proxy.live)
    for step in plan(world.seen(), goal)[:at_most]:
        before = world.traffic
        world.perform(step)
        hold(before, world, goal.confirmed, f"{step.action} {step.target}", asked=asked)


def converge(world: World, goal: Goal) -> None:
    """Run the plan; once more where the health that only the new nginx could tell makes a difference."""
    is_told = world.is_reached or (world.proxy is not None and world.proxy.live)
    follow(world, goal)
    if not is_told:
        follow(world, goal)
    assert_reached(world, goal)


def damage(world: World, kind: str) -> None:
    if kind == "nginx is gone":
        world.proxy, world.traffic = None, Traffic()
    if kind == "nginx does not answer" and world.proxy:
        world.proxy, world.traffic = replace(world.proxy, config="", live=False), Traffic()
    if kind == "nginx was changed" and world.proxy:
        world.proxy = replace(world.proxy, differences=(CHANGED,))
    for slot in SLOTS:
        if slot in world.slots and kind == f"{slot} died":
            world.slots[slot] = replace(world.slots[slot], live=False, healthy=False)
        if slot in world.slots and kind == f"{slot} was changed":
            world.slots[slot] = replace(world.slots[slot], differences=(CHANGED,))
        if slot in world.slots and kind == f"{slot} is sick":
            world.slots[slot] = replace(world.slots[slot], healthy=False)
        if kind == f"{slot} is gone":
            world.slots.pop(slot, None)


DAMAGES = ["none", "nginx is gone", "nginx does not answer", "nginx was changed"] + [
    f"{slot} {what}" for slot in SLOTS for what in ("died", "is sick", "was changed", "is gone")
]


def assert_reached(world: World, goal: Goal) -> None:
    (slot,) = world.slots
    assert world.known == {slot}, "nginx still knows a slot that is gone"
    there = world.slots[slot]
    assert (there.release, there.spec, there.live) == (goal.placement.release, goal.placement.spec, True)
    assert (world.proxy, world.traffic) == (goal.proxy, Traffic({slot: 100}))
    assert there.release
    assert plan(world.seen(), replace(goal, confirmed=there.release.id)) == ()
    is_doubted = goal.watched and goal.confirmed != there.release.id
    again = [step.action for step in plan(world.seen(), goal)]
    assert again == (["route", "watch", "route"] if is_doubted else [])


@pytest.mark.parametrize("watched", [False, True])
@pytest.mark.parametrize("kind", DAMAGES)
@pytest.mark.parametrize("done", range(12))
def test_a_rollover_cut_off_after_any_step_is_finished_by_planning_again(
    done: int, kind: str, watched: bool
) -> None:
    world = World(NGINX, {"blue": occupied(OLD)}, Traffic({"blue": 100}))
    goal = wanted(NEW, shares=(10, 50, 100), watched=watched)
    follow(world, goal, at_most=done)
    damage(world, kind)
    converge(world, goal)


@pytest.mark.parametrize("watched", [False, True])
@pytest.mark.parametrize("kind", DAMAGES)
@pytest.mark.parametrize("done", range(8))
def test_a_first_deploy_cut_off_after_any_step_is_finished_by_planning_again(
    done: int, kind: str, watched: bool
) -> None:
    world, goal = World(None), wanted(NEW, confirmed="", watched=watched)
    follow(world, goal, at_most=done)
    damage(world, kind)
    converge(world, goal)


placements = st.builds(
    occupied,
    st.sampled_from([OLD, NEW, THIRD]),
    spec=st.sampled_from([SPEC, "former memory"]),
    live=st.booleans(),
    healthy=st.booleans(),
)
shares = st.sets(st.integers(1, 99), max_size=3).map(lambda steps: (*sorted(steps), 100))


@st.composite
def worlds(draw: st.DrawFn) -> World:
    occupants = {slot: draw(st.none() | placements) for slot in SLOTS}
    slots = {
        slot: there if there.live else replace(there, healthy=False)
        for slot, there in occupants.items()
        if there
    }
    proxy = draw(st.sampled_from([None, NGINX, OTHER_CONFIG, OTHER_PORTS, HUNG]))
    is_reached = draw(st.booleans())
    if proxy is None or not proxy.live or not slots:
        return World(proxy, slots, is_reached=is_reached)
    leader = draw(st.sampled_from(sorted(slots)))
    if len(slots) == 1:
        traffic = draw(st.sampled_from([Traffic(), Traffic({leader: 100})]))
        return World(proxy, slots, traffic, is_reached=is_reached)
    rest = next(slot for slot in slots if slot != leader)
    backup = rest if slots[rest].live and slots[rest].healthy else None
    split = draw(st.integers(1, 99))
    options = [Traffic(), Traffic({leader: 100}, backup), Traffic({leader: split, rest: 100 - split})]
    traffic = replace(draw(st.sampled_from(options)), counted=draw(st.booleans()))
    return World(proxy, slots, traffic, is_reached=is_reached)


@settings(deadline=None, max_examples=500)
@given(
    worlds(),
    st.sampled_from([OLD, NEW]),
    shares,
    st.sampled_from(["", OLD.id, NEW.id, THIRD.id]),
    st.lists(st.tuples(st.integers(0, 14), st.sampled_from(DAMAGES)), max_size=3),
    st.booleans(),
)
def test_from_any_state_however_often_cut_off_the_plan_reaches_its_goal(
    world: World,
    what: Release,
    steps: tuple[int, ...],
    confirmed: str,
    cuts: list[tuple[int, str]],
    watched: bool,
) -> None:
    goal = wanted(what, shares=steps, confirmed=confirmed, watched=watched)
    for done, kind in cuts:
        follow(world, goal, at_most=done)
        damage(world, kind)
    converge(world, goal)


@pytest.mark.parametrize("proxy", [None, HUNG], ids=["nginx is gone", "nginx is silent"])
@pytest.mark.parametrize("what", [OLD, NEW], ids=["the same release", "another release"])
def test_who_answers_past_a_silent_nginx_serves_on_though_no_record_names_it(
    proxy: Proxy | None, what: Release
) -> None:
    world = World(proxy, {"green": occupied(OLD)}, is_reached=True)
    steps = plan(world.seen(), wanted(what, confirmed=""))
    assert (steps[0].target, steps[0].then.traffic) == ("nginx", Traffic({"green": 100}))
    assert [step.target for step in steps if step.action == "start" and step.slot] == (
        [] if what is OLD else ["app-blue"]
    )
    converge(world, wanted(what, confirmed=""))

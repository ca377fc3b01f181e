"""The steps from the observed state to the desired one. Pure.

`plan` prints what `deploy` would execute, a killed verb is finished by planning again, and an undo is a plan.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise

from swiftdeploy_tasks.model.release import SLOTS, Slot, other
from swiftdeploy_tasks.model.state import Placement, Proxy, State, Traffic
from swiftdeploy_tasks.rollout.reasons import fault, listed, start_reason
from swiftdeploy_tasks.rollout.serving import confirmed_slot, serving_slot


@dataclass(frozen=True)
class Goal:
    """What shall run in the end: nginx, one release, and by which shares (percent) it takes over.

    `confirmed` is the id of the release that was last seen to be good, "" when there is none: where two
    slots have traffic, it is the one that keeps serving meanwhile. `watched`: a slot that is not confirmed
    is judged at each share, 100 too, before the old one is drained. Without `overlap` what serves is stopped
    before the release starts. With `resumes` a rollout that is held takes its next share.
    """

    proxy: Proxy
    placement: Placement
    shares: tuple[int, ...] = (100,)
    confirmed: str = ""
    watched: bool = False
    overlap: bool = True
    resumes: bool = False


@dataclass(frozen=True)
class Deed:
    """One action on one target, and its reason or detail."""

    action: str
    target: str
    reason: str

    def document(self) -> dict[str, str]:
        """The form of `steps` in docs/ci.md."""
        return {"action": self.action, "target": self.target, "reason": self.reason}

    def __str__(self) -> str:
        return f"{self.target} {self.action}: {self.reason}"


@dataclass(frozen=True)
class Step(Deed):
    """A deed that changes nginx, the slots or the traffic, and the state after it."""

    then: State
    slot: Slot | None = None


def plan(observed: State, goal: Goal) -> tuple[Step, ...]:
    """Return the steps from `observed` to `goal`, in order; empty when there is nothing to do."""
    states = path(observed, goal)
    return tuple(step for now, then in pairwise(states) for step in _between(now, then, observed))


def way_back(
    now: State, serving: Slot | None, added: Collection[Slot], *, is_routed: bool
) -> tuple[Step, ...]:
    """Return the steps of an undo: `serving` takes all traffic, then what the change `added` is removed.

    `is_routed` says that `serving` has all traffic, and nginx its former settings.
    """
    kept = {slot: there for slot, there in now.slots.items() if slot not in added}
    then = State(now.proxy, kept, Traffic({serving: 100} if serving else {}))
    steps = []
    if not is_routed:
        reason = f"undo: {f'app-{serving} takes all traffic' if serving else 'no slot gets traffic'}"
        steps.append(Step("route", "nginx", reason, then))
    for slot in added:
        for action in ("drain", "remove"):
            steps.append(Step(action, f"app-{slot}", "undo: started by this change", then, slot))
    return tuple(steps)


def effect_on_requests(steps: Collection[Step]) -> str:
    """Return what these steps do to the requests of clients, in a sentence; "" for no steps."""
    actions = {(step.target, step.action) for step in steps}
    if not actions:
        return ""
    if ("nginx", "start") in actions:
        return "requests are served once nginx has started"
    if ("nginx", "recreate") in actions:
        return "nginx restarts: open connections are cut, and requests fail until it has started"
    if any(step.action == "route" and step.then.traffic.leader is None for step in steps):
        return "requests get 503 with Retry-After between the old release and the new one"
    if any(step.then.traffic.leader is None for step in steps):
        return "no slot can serve: requests get 503 until a slot is healthy"
    return "no request is lost"


def path(observed: State, goal: Goal) -> tuple[State, ...]:
    """Return the states to go through, each to be in force before the next, `observed` first."""
    if resumed := _resumed(observed, goal):
        rest = [share for share in goal.shares if share > observed.traffic.of(resumed)]
        return (observed, *_takeover(observed, goal, resumed, observed.slots, rest))
    serving = serving_slot(observed, goal.confirmed)
    wanted = goal.placement
    if serving and _fits(observed.slots[serving], wanted):
        settled = State(goal.proxy, {serving: observed.slots[serving]}, Traffic({serving: 100}))
        if goal.watched and wanted.release and wanted.release.id != goal.confirmed:
            return (observed, replace(settled, traffic=replace(settled.traffic, counted=True)), settled)
        return (observed, settled)
    if serving and not goal.overlap:
        return _stop_first(observed, goal, serving)
    kept = {serving: observed.slots[serving]} if serving else {}
    whole = Traffic({serving: 100}) if serving else Traffic()
    free = other(serving) if serving else "blue"
    ready = observed.slots.get(free)
    candidate = ready if ready and _fits(ready, wanted) else wanted
    both = {**kept, free: candidate}
    states = [observed]
    if serving is None or observed.proxy != goal.proxy or observed.traffic != whole:
        reused = {free: candidate} if candidate is ready else {}
        states.append(State(goal.proxy, {**kept, **reused}, whole))
    counted = goal.watched
    # The old slot is counted while the new one starts: that is what the new one is compared with.
    states.append(State(goal.proxy, both, replace(whole, counted=counted and serving is not None)))
    return (*states, *_takeover(observed, goal, free, both, goal.shares if serving else (100,)))


def _takeover(
    observed: State, goal: Goal, new: Slot, both: Mapping[Slot, Placement], shares: Iterable[int]
) -> Iterator[State]:
    """Yield the states in which the slot `new` takes over by these shares from the other one of `both`."""
    old = next((slot for slot in both if slot != new), None)
    backup = old if old and observed.slots[old].healthy is not False else None
    for share in shares:
        if old and share < 100:
            given: dict[Slot, int] = {new: share, old: 100 - share}
            yield State(goal.proxy, both, Traffic(given, counted=goal.watched))
        elif backup or goal.watched:
            yield State(goal.proxy, both, Traffic({new: share}, backup, goal.watched))
    yield State(goal.proxy, {new: both[new]}, Traffic({new: 100}))


def _resumed(observed: State, goal: Goal) -> Slot | None:
    """Return the slot whose rollout goes on from the share that it has, None where none does."""
    old = confirmed_slot(observed, goal.confirmed)
    there = observed.slots.get(other(old)) if old else None
    if not goal.resumes or old is None or there is None or observed.proxy != goal.proxy:
        return None
    return other(old) if _fits(there, goal.placement) else None


def _stop_first(observed: State, goal: Goal, serving: Slot) -> tuple[State, ...]:
    """Return the path on which `serving` is gone before the wanted release starts."""
    kept, whole = {serving: observed.slots[serving]}, Traffic({serving: 100})
    wanted = {other(serving): goal.placement}
    taken = Traffic({other(serving): 100})
    states = [observed]
    if set(observed.slots) != set(kept) or observed.proxy != goal.proxy or observed.traffic != whole:
        states.append(State(goal.proxy, kept, whole))
    states += [State(goal.proxy, {}, Traffic()), State(goal.proxy, wanted, Traffic())]
    if goal.watched:
        states.append(State(goal.proxy, wanted, replace(taken, counted=True)))
    return (*states, State(goal.proxy, wanted, taken))


def _fits(there: Placement, wanted: Placement) -> bool:
    same = there.release == wanted.release and there.spec == wanted.spec and not there.differences
    return same and there.live and there.healthy is not False


def _between(now: State, then: State, observed: State) -> Iterator[Step]:
    """Yield the steps between two neighbouring states of a path that begins with what was observed."""
    first = now is observed
    for slot in _outdated(now, then):
        left = {s: p for s, p in now.slots.items() if s != slot}
        yield _drain(now, slot)
        now = replace(now, slots=left)
        why = fault(slot, observed) or "no traffic, and not the wanted release"
        yield Step("remove", f"app-{slot}", why, now, slot)
    if then.proxy and now.proxy != then.proxy:
        action, reason = _proxy_change(now.proxy, then.proxy)
        reachable = all(slot in now.slots for slot in then.traffic.weights)
        now = State(then.proxy, now.slots, then.traffic if reachable else now.traffic)
        yield Step(action, "nginx", reason, now)
    for slot, placement in then.slots.items():
        if slot not in now.slots:
            # nginx reloads for the new address, and begins to count with it.
            is_same = replace(now.traffic, counted=then.traffic.counted) == then.traffic
            now = replace(
                now,
                slots={**now.slots, slot: placement},
                traffic=then.traffic if is_same else now.traffic,
            )
            yield Step("start", f"app-{slot}", start_reason(placement, observed), now, slot)
    leaving = [slot for slot in now.slots if slot not in then.slots]
    if now.traffic != then.traffic:
        yield from _reroute(now, then)
    elif leaving and then.proxy:
        names = " and ".join(f"app-{slot}" for slot in leaving)
        yield Step(
            "route",
            "nginx",
            f"remove {names} from the configuration",
            State(then.proxy, then.slots, then.traffic),
        )
    for slot in leaving:
        if first and not now.traffic.of(slot):
            yield _drain(then, slot)
        why = f"replaced by app-{other(slot)}" if then.traffic.weights else fault(slot, observed)
        if now.traffic.of(slot) and not then.slots:
            why = "stops before its successor starts: rollout.overlap is false"
        yield Step("remove", f"app-{slot}", why or "not the wanted release", then, slot)
    if first and then.traffic.counted and len(then.slots) == 1:
        (slot,) = then.slots
        yield Step("watch", f"app-{slot}", "serves and is not confirmed", then, slot)


def _reroute(now: State, then: State) -> Iterator[Step]:
    """Yield the switch of the traffic, and what is seen to before the next state."""
    for slot in then.traffic.weights:
        if not now.traffic.of(slot) and now.slots[slot].healthy is None:
            yield Step("wait", f"app-{slot}", "until healthy", now, slot)
    staying = {slot: there for slot, there in now.slots.items() if slot in then.slots}
    routed = State(then.proxy, staying, then.traffic)
    why = f"{now.traffic} → {then.traffic}"
    if str(now.traffic) == str(then.traffic):
        why = "count requests" if then.traffic.counted else "stop counting requests"
    yield Step("route", "nginx", why, routed)
    for slot, share in then.traffic.weights.items():
        if share > now.traffic.of(slot):
            if share == 100:
                yield Step("verify", "public port", f"app-{slot} answers", routed, slot)
            if share < 100 or then.traffic.counted:
                yield Step("watch", f"app-{slot}", f"{share} % of the traffic", routed, slot)
    for slot in now.traffic.weights:
        if not then.traffic.of(slot):
            yield _drain(routed, slot)


def _drain(state: State, slot: Slot) -> Step:
    return Step("drain", f"app-{slot}", "finish open requests", state, slot)


def _outdated(now: State, then: State) -> list[Slot]:
    """Return the slots whose occupant has to make room for another one."""
    return [s for s in SLOTS if s in now.slots and s in then.slots and now.slots[s] is not then.slots[s]]


def _proxy_change(there: Proxy | None, wanted: Proxy) -> tuple[str, str]:
    if there is None:
        return "start", "not running"
    if why := _unusable(there, wanted):
        return "recreate", f"{why}; open connections are cut"
    if not there.config:
        return "reload", "files in .swiftdeploy/nginx differ from the desired ones"
    return "reload", "configuration changed"


def _unusable(there: Proxy, wanted: Proxy) -> str:
    """Return why no reload can make the nginx that is there the wanted one, "" when it can."""
    if there.trouble:
        return there.trouble
    if there.differences:
        return f"changed outside SwiftDeploy: {listed(there.differences)}"
    if not there.live:
        return "no answer"
    return "" if there.spec == wanted.spec else "ports, image or container definition changed"

"""Executes the steps of a plan on an engine, waits until each is in force, and records it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

from swiftdeploy_tasks.errors import Held, Undecided
from swiftdeploy_tasks.model import components
from swiftdeploy_tasks.model.release import Release, Slot
from swiftdeploy_tasks.model.state import Placement, Proxy, State, Traffic
from swiftdeploy_tasks.proxy import generated_files, probe
from swiftdeploy_tasks.rollout import generation, traffic
from swiftdeploy_tasks.rollout.job import Job, render, write_specs, written
from swiftdeploy_tasks.rollout.planner import Goal, Step
from swiftdeploy_tasks.rollout.slot_health import confirm, refuse_sick, target_of, wait_healthy
from swiftdeploy_tasks.rollout.watch import Ending, Watch
from swiftdeploy_tasks.session.events import StepBegan, StepEnded

# How long to wait for a first request where none came before the switch.
FIRST_REQUEST_SECONDS = 0.3
_PHASES = {
    "start": "start",
    "wait": "health",
    "watch": "gate",
    "verify": "confirm",
    "drain": "drain",
    "remove": "remove",
}


Effect = Callable[[Job, Step], None]


def boundary(name: str) -> None:
    """Stand between two effects, by name: tests put a function here that kills the process."""


def goal(job: Job, release: Release, *, confirmed: str) -> Goal:
    """Return the goal that this release runs alone, as the manifest and the place have it."""
    alone = State(None, {"blue": Placement(release, "")}, Traffic())
    digests = written(job, alone).digests
    config = generated_files.content_digest(render(job, alone)["nginx.conf"])
    proxy = Proxy(digests[components.NGINX], config)
    wanted = Placement(release, digests[components.app("blue")])
    shares = (100,) if job.at_once else job.manifest.rollout.steps
    overlap = job.manifest.rollout.overlap
    return Goal(
        proxy, wanted, shares, confirmed, watched=not job.at_once, overlap=overlap, resumes=job.resumes
    )


def apply(job: Job, steps: Iterable[Step], do: Mapping[str, Effect] | None = None) -> None:
    """Execute the steps in order; each is printed, recorded and in force before the next.

    `do` has the effect of each action, where it is another one than that of a change.
    """
    for step in steps:
        boundary(f"{step.action} {step.target}")
        with _recorded(job, step):
            (do or _DO)[step.action](job, step)
    boundary("applied")


@contextmanager
def _recorded(job: Job, step: Step) -> Iterator[None]:
    """Record a step that begins, and how it ended."""
    action, target, reason, weights = step.action, step.target, step.reason, dict(step.then.traffic.weights)
    job.emit(StepBegan(action=action, target=target, reason=reason, weights=weights))
    job.given.update(slot for slot, share in weights.items() if share)
    began, outcome = time.monotonic(), "failed"
    try:
        yield
        outcome = "done"
    finally:
        seconds = round(time.monotonic() - began, 3)
        phase = _PHASES.get(action, "switch")
        job.spent[phase] = round(job.spent.get(phase, 0.0) + seconds, 3)
        job.emit(StepEnded(outcome=outcome, action=action, target=target, seconds=seconds, reason=reason))


def _start_proxy(job: Job, step: Step) -> None:
    traffic.start_proxy(job, step.then)


def _start_slot(job: Job, step: Step) -> None:
    slot, release = target_of(step)
    say_all(job, job.engine.keep(job.manifest, release))
    write_specs(job, step.then)
    job.engine.start(components.app_in(job.manifest, slot, release), job.secrets)
    traffic.route(job, step.then)


def _watch(job: Job, step: Step) -> None:
    """Watch the new slot for one interval, and for longer as `rollout` says; raises what ends the change."""
    if job.watch is None:
        return
    slot, release = target_of(step)
    ending = _watched(job, job.watch, step, slot, release)
    if ending.word == "undecided":
        _go_on_undecided(job, step, ending.why)


def _watched(job: Job, watch: Watch, step: Step, slot: Slot, release: Release) -> Ending:
    """Return how the step ended.

    With too few requests it lasts another interval, and until the release is proven where that is asked for.
    A slot that has all traffic is not watched while no client sends requests: there is nothing to judge.
    """
    began, rollout = time.monotonic(), job.manifest.rollout
    is_alone = step.then.traffic.of(slot) == 100
    if is_alone and not probe.until(watch.sees_traffic, seconds=FIRST_REQUEST_SECONDS, every=0.1):
        return Ending("undecided", "no requests to the new release")
    watch.begin(slot, release)
    _tick_for(watch, rollout.interval)
    if rollout.advance == "proven":
        until_proven = began + max(rollout.interval, rollout.patience)
        while not watch.is_proven and time.monotonic() < until_proven:
            _tick_for(watch, generation.TICK)
        _wait_for_answers(job, slot)
        return watch.end_step(last=True)
    _wait_for_answers(job, slot)
    ending = watch.end_step(last=False)
    if ending.word != "more":
        return ending
    job.say(f"too few requests in app-{slot} to judge it: watching for another interval")
    _tick_for(watch, rollout.interval)
    _wait_for_answers(job, slot)
    return watch.end_step(last=True)


def _go_on_undecided(job: Job, step: Step, why: str) -> None:
    """Follow `rollout.undecided`; a first release has none to go back to, and goes on."""
    slot, release = target_of(step)
    then = job.manifest.rollout.undecided if job.back and set(job.back.slots) - {slot} else "advance"
    share = f"{step.then.traffic.of(slot)} %"
    if then == "advance":
        job.say(f"undecided at {share}: {why}")
        return
    named = f"version {release.version} ({release.mode}) is undecided at {share}: {why}"
    if then == "hold":
        traffic.route(job, replace(step.then, traffic=replace(step.then.traffic, counted=False)))
        raise Held(f"{named}; held at this share until deploy, promote or rollback", "invoke deploy")
    raise Undecided(f"{named}; rollout.undecided is rollback", "invoke deploy")


def _tick_for(watch: Watch, seconds: float) -> None:
    due = time.monotonic()
    ends = due + seconds
    while (left := ends - time.monotonic()) > 0:
        due += generation.TICK
        time.sleep(max(0.0, min(due - time.monotonic(), left)))
        watch.tick()


def _wait_for_answers(job: Job, slot: Slot) -> None:
    """Watch until the requests of the step are answered, or their time at nginx is over."""
    assert job.watch is not None
    began_by = time.time()
    deadline = time.monotonic() + job.manifest.nginx.proxy_timeout + generation.TICK
    is_announced = False
    while (waiting := job.watch.waiting(began_by)) and time.monotonic() < deadline:
        if not is_announced:
            left = deadline - time.monotonic()
            job.say(f"app-{slot} has not answered {waiting}: watching for at most {left:.0f} s more")
            is_announced = True
        _tick_for(job.watch, generation.TICK)


def _drain(job: Job, step: Step) -> None:
    """Wait until the slot's open requests are answered; watch its successor meanwhile.

    The next step removes the slot and with it the undo, so the health of its successor is checked once more.
    """
    assert step.slot is not None
    leader = step.then.traffic.leader
    release = step.then.release_of(leader)
    if leader is None or release is None or leader == step.slot or step.then.slots[leader].healthy is False:
        return traffic.drain(job, step.slot, watch_nothing)
    if job.watch:
        job.watch.begin(leader, release)
    traffic.drain(job, step.slot, job.watch.tick if job.watch else watch_nothing)
    return refuse_sick(job, leader, release)


def _remove(job: Job, step: Step) -> None:
    assert step.slot is not None
    say_all(job, job.engine.stop(components.app(step.slot), discard_volumes=job.discard_volumes))
    write_specs(job, step.then)


def say_all(job: Job, sentences: Iterable[str]) -> None:
    """Print each sentence."""
    for sentence in sentences:
        job.say(sentence)


def watch_nothing() -> None:
    """There is no slot to watch."""


_DO: Mapping[str, Effect] = {
    "start": lambda job, step: _start_slot(job, step) if step.slot else _start_proxy(job, step),
    "recreate": _start_proxy,
    "reload": lambda job, step: traffic.route(job, step.then),
    "route": lambda job, step: traffic.route(job, step.then),
    "wait": wait_healthy,
    "verify": lambda job, step: confirm(job, *target_of(step)),
    "watch": _watch,
    "drain": _drain,
    "remove": _remove,
}

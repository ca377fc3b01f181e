"""Undoes a change: back to the state before it, by a plan of its own."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace

from swiftdeploy_tasks.errors import EngineError
from swiftdeploy_tasks.manifest.model import Manifest
from swiftdeploy_tasks.model.release import Release, Slot
from swiftdeploy_tasks.model.state import Placement, State, Traffic
from swiftdeploy_tasks.rollout import executor, former_proxy, generation, observation, planner, traffic
from swiftdeploy_tasks.rollout.job import Job, write_specs
from swiftdeploy_tasks.rollout.observation import is_settled
from swiftdeploy_tasks.rollout.planner import Step
from swiftdeploy_tasks.rollout.release_secrets import secrets_of
from swiftdeploy_tasks.system import files

# How long an undo waits for an engine that restarts: a daemon with many containers restarts slowly.
ENGINE_SECONDS = 120.0


def undo(job: Job, before: State, serving: Slot | None, *, in_force: Manifest | None) -> float | None:
    """Restore what stood `before`: the slot `serving` takes all traffic, and what was added is removed.

    When nothing stood before, nothing is left. The traffic moves first, without asking the slot that failed.
    When the slot that served has died meanwhile, the new one keeps the traffic; without rollout.overlap the
    release that served starts again, under the manifest `in_force` before.
    Returns the time (monotonic) at which `serving` had all traffic again, None when it has not.
    """
    job.watch = None
    _wait_for_engine(job)
    if before.proxy is None and not before.slots:
        job.say("nothing ran before: removing what was started")
        job.engine.remove_all(job.say, discard_volumes=not job.given)
        return None
    former_proxy.restore_proxy(job)
    now = job.engine.observe()
    is_gone = serving is not None and not (serving in now.slots and now.slots[serving].live)
    former = before.release_of(serving)
    if is_gone and former and not job.manifest.rollout.overlap:
        known = before.slots[serving].environment if serving else {}
        return _start_again(job, former, known, in_force or job.manifest)
    if is_gone:
        job.say(f"app-{serving} is gone; the new release keeps the traffic, unconfirmed")
        _keep_what_is_left(job, now)
        return None
    added = [slot for slot, there in now.slots.items() if slot != serving and _is_new(there, before, slot)]
    kept = {slot: there for slot, there in now.slots.items() if slot not in added}
    whole = State(now.proxy, kept, Traffic({serving: 100} if serving else {}))
    is_former = not added and former_proxy.is_former(job) and is_settled(job, whole.traffic)
    steps = planner.way_back(now, serving, added, is_routed=now.proxy is None or is_former)
    executor.apply(job, (step for step in steps if step.action == "route"), _DO)
    back = time.monotonic()
    executor.apply(job, (step for step in steps if step.action != "route"), _DO)
    _restore_specs(job, before, whole)
    return back if serving else None


def _start_again(job: Job, former: Release, known: Mapping[str, str], in_force: Manifest) -> float:
    """Stop the new release and start the `former` one; return the time (monotonic) at which it serves."""
    job.say(f"version {former.version} ({former.mode}) starts again")
    back = replace(
        job, manifest=in_force, secrets=secrets_of(former, known), watch=None, admitted=None, at_once=True
    )
    seen = observation.look(job.engine, job.settings)
    goal = replace(executor.goal(back, former, confirmed=""), overlap=False)
    executor.apply(back, planner.plan(seen, goal))
    return time.monotonic()


def _remove(job: Job, step: Step) -> None:
    """Remove a slot that the change started; what it wrote goes with it where it never had traffic."""
    gone = job.engine.stop(step.target, discard_volumes=step.slot not in job.given)
    executor.say_all(job, gone)


def _drain(job: Job, step: Step) -> None:
    assert step.slot is not None
    traffic.drain(job, step.slot, executor.watch_nothing)


# The slot that failed is not asked, and no verdict is waited for.
_DO: Mapping[str, executor.Effect] = {
    "route": lambda job, step: former_proxy.go_back(job, step.then),
    "drain": _drain,
    "remove": _remove,
}


def _restore_specs(job: Job, before: State, whole: State) -> None:
    """Write the Specs of what stands again: those from before the change, where they fit."""
    if job.former and not job.resumes and set(before.slots) == set(whole.slots):
        for path, content in job.former.files.items():
            if path.parent != job.settings.nginx_folder:
                files.replace(path, content, mode=0o600)
    else:
        write_specs(job, whole)


def _keep_what_is_left(job: Job, now: State) -> None:
    """Give all traffic to the slot that still runs: the files on disk are those of one that does not."""
    job.back = job.way_back = None
    left = {slot: there for slot, there in now.slots.items() if there.live}
    if now.proxy and len(left) == 1:
        traffic.route(job, State(now.proxy, left, Traffic(dict.fromkeys(left, 100))))
    write_specs(job, now)


def _wait_for_engine(job: Job) -> None:
    """Wait for an engine that restarts; raises EngineError after ENGINE_SECONDS."""
    deadline = time.monotonic() + ENGINE_SECONDS
    is_announced = False
    while True:
        try:
            job.engine.observe()
            return
        except EngineError:
            if time.monotonic() >= deadline:
                raise
        if not is_announced:
            job.say(f"the engine does not answer: waiting for it, at most {ENGINE_SECONDS:g} s")
            is_announced = True
        time.sleep(generation.TICK)


def _is_new(there: Placement, before: State, slot: Slot) -> bool:
    """Return whether this is another one than stood in the slot before."""
    former = before.slots.get(slot)
    return former is None or (former.release, former.since) != (there.release, there.since)

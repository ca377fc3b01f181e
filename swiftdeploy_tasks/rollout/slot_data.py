"""Data that an app keeps in its slot, and what of it a change of release would lose."""

from __future__ import annotations

from collections.abc import Iterable

from swiftdeploy_tasks.errors import PreflightError
from swiftdeploy_tasks.model.release import SLOTS, Release
from swiftdeploy_tasks.model.state import State
from swiftdeploy_tasks.rollout import executor, release_store
from swiftdeploy_tasks.rollout.job import Job
from swiftdeploy_tasks.rollout.planner import Step, plan


def lost(job: Job, before: State, steps: Iterable[Step]) -> str:
    """Return which data in the slots these steps would lose, in a sentence; "" for none."""
    ends = {step.slot for step in steps if step.action in {"remove", "start"}}
    slots = [slot for slot in SLOTS if slot in ends and slot in before.slots]
    found = [f"app-{slot} holds {held}" for slot in slots for held in job.engine.inspect(slot).data]
    return f"{' and '.join(found)}, which the next release does not get" if found else ""


def refuse_loss(job: Job, verb: str, before: State, release: Release) -> None:
    """Raise PreflightError where running this release would lose data, unless the job may discard it."""
    if job.discard_volumes:
        return
    wanted = executor.goal(job, release, confirmed=release_store.present(job.settings.releases))
    if what := lost(job, before, plan(before, wanted)):
        raise PreflightError(what, f"copy it out with docker cp, then: invoke {verb} --discard-volumes")

"""Promote: gives the running release the other mode, where the gate allows it."""

from __future__ import annotations

import dataclasses

from swiftdeploy_tasks.errors import PreflightError, UsageError
from swiftdeploy_tasks.manifest import edit
from swiftdeploy_tasks.manifest.edit import MODES
from swiftdeploy_tasks.model.release import Release, Slot
from swiftdeploy_tasks.model.state import State
from swiftdeploy_tasks.proxy import root_files
from swiftdeploy_tasks.rollout import (
    applied,
    executor,
    held,
    isolation,
    noting,
    observation,
    questions,
    recovery,
    release_store,
    slot_data,
    write_back,
)
from swiftdeploy_tasks.rollout.admission import Change
from swiftdeploy_tasks.rollout.change import Aim, execute
from swiftdeploy_tasks.rollout.job import Job
from swiftdeploy_tasks.rollout.project import engine_of, job_of, read_file
from swiftdeploy_tasks.rollout.release_secrets import secrets_of
from swiftdeploy_tasks.session.run import Run


def promote(run: Run, mode: str, *, discard_volumes: bool = False) -> None:
    """Take the running release to `mode`, or to the other one; rewrite services.mode when it is there.

    A rollout that is held goes on.
    """
    if mode and mode not in MODES:
        raise UsageError(f"--mode is {mode!r}; it must be stable or canary", "invoke promote --mode canary")
    waiting = recovery.held(run.settings)
    if waiting and mode in ("", waiting.mode) and held.resume(run):
        return
    file, engine = read_file(run), engine_of(run)
    cut_off = recovery.settled(run)
    if cut_off and cut_off.verb == "promote" and not mode:
        mode = cut_off.mode
    before = observation.look(engine, run.settings)
    serving = before.traffic.leader
    running = before.release_of(serving)
    if serving is None or running is None:
        why = "nginx sends traffic to no slot" if before.slots else "nothing runs"
        raise PreflightError(f"{why}, so there is nothing to promote", "invoke deploy")
    present = job_of(run, applied.in_mode(file.manifest, running.mode), engine)
    _refuse_another(run, present, before, serving, running)
    target = dataclasses.replace(running, mode=mode or MODES[1 - MODES.index(running.mode)])
    wanted = file.in_mode(target.mode)
    asked = wanted.manifest
    noting.target(run, before, target, asked)
    if target.mode == running.mode:
        run.say(f"version {running.version} is {running.mode} already")
        write_back.write_mode(run, wanted, read=file.content)
        return
    edit.can_set_mode(run.settings.manifest)
    root_files.refuse_foreign(asked.rendered, root=run.settings.root, state=run.settings.state)
    job = job_of(run, asked, engine)
    job.discard_volumes = discard_volumes
    slot_data.refuse_loss(job, "promote", before, target)
    job.secrets = secrets_of(target, before.slots[serving].environment)
    change = Change("promote", running, target)
    questions.may_change_mode(run, asked, engine, before, change)
    job.watch = questions.slot_watch(run, job, change, serving)
    aim = Aim(
        before,
        target,
        wanted,
        running,
        isolation.allowed_parts,
        write_mode=lambda: write_back.write_mode(run, wanted, read=file.content),
    )
    execute(run, job, aim)


def _refuse_another(run: Run, job: Job, before: State, serving: Slot, running: Release) -> None:
    """Raise PreflightError when the manifest gives more than another mode of what runs."""
    given = dataclasses.replace(job.engine.release(job.manifest), mode=running.mode)
    wanted = executor.goal(job, running, confirmed=release_store.present(run.settings.releases))
    there = before.slots[serving]
    if given != running:
        what = "another release"
    elif before.proxy != wanted.proxy or there.spec != wanted.placement.spec:
        what = "other nginx or container settings"
    else:
        return
    raise PreflightError(
        f"manifest.yaml gives {what} than what runs; promote changes only the mode", "invoke deploy"
    )

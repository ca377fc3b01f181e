"""Rollback: brings back the previous confirmed release. It is never barred."""

from __future__ import annotations

import dataclasses
from contextlib import suppress

from swiftdeploy_tasks.engines import registry
from swiftdeploy_tasks.engines.protocol import Engine
from swiftdeploy_tasks.errors import ManifestError, PreflightError, SwiftDeployError
from swiftdeploy_tasks.manifest.loading import ManifestProblems
from swiftdeploy_tasks.manifest.model import Manifest
from swiftdeploy_tasks.model import components
from swiftdeploy_tasks.model.release import Release
from swiftdeploy_tasks.model.state import State
from swiftdeploy_tasks.rollout import (
    applied,
    gap,
    isolation,
    noting,
    observation,
    questions,
    recovery,
    release_store,
    write_back,
)
from swiftdeploy_tasks.rollout.admission import Change
from swiftdeploy_tasks.rollout.change import Aim, execute
from swiftdeploy_tasks.rollout.project import job_of, quiet, read_manifest
from swiftdeploy_tasks.rollout.reasons import changed_fields
from swiftdeploy_tasks.rollout.release_secrets import secrets_of
from swiftdeploy_tasks.rollout.release_store import Confirmation
from swiftdeploy_tasks.rollout.serving import serving_slot
from swiftdeploy_tasks.session.events import ManifestChanged
from swiftdeploy_tasks.session.run import Run


def show(run: Run) -> None:
    """Print every confirmation, newest first, and which can be had."""
    rows = release_store.confirmations(run.settings.releases)
    run.report(releases=[vars(row) for row in rows])
    for row in reversed(rows):
        end = f"until {row.until}" if row.until else "serves now"
        removed = ", rolled back" if row.rolled_back else ""
        run.say(f"{row.release}  version {row.version} ({row.mode})  since {row.since}  {end}{removed}")
    if not rows:
        run.say("no confirmed release yet")


def rollback(run: Run, to: str) -> None:
    """Run the release confirmed before the present one, or the one that `to` names."""
    kept, other = applied.in_force(run.settings)
    name = registry.recorded(run.settings)
    engine = registry.make(name, run.settings) if name else registry.choose(run.settings, kept.manifest)
    quiet(run, engine)
    before = observation.look(engine, run.settings)
    cut_off = recovery.settled(run)
    if cut_off and cut_off.verb == "rollback" and not to:
        to = cut_off.release
        running = before.release_of(before.traffic.leader)
        if running and running.id == to:
            noting.target(run, before, running, kept.manifest)
            run.say(f"version {running.version} ({running.mode}) serves: the rollback is done")
            return
    row = _target(run, to, before)
    release = _kept(run, engine, kept.manifest, row)
    if other:
        run.emit(ManifestChanged(outcome="replaced", found=other))
        run.say(other, "warn")
    with suppress(ManifestError):
        kept = kept.in_mode(release.mode)
    asked = kept.manifest
    job = dataclasses.replace(job_of(run, asked, engine), at_once=True)
    serving = serving_slot(before, release_store.present(run.settings.releases))
    running = before.release_of(serving)
    job.secrets = secrets_of(release, before.slots[serving].environment if serving else {})
    noting.target(run, before, release, asked)
    questions.tell_rollback(run, asked, engine, before, Change("rollback", running or release, release))
    aim = Aim(
        before,
        release,
        kept,
        running,
        isolation.record_isolation,
        back_to=row,
        write_mode=lambda: write_back.try_to_write_mode(run, release.mode),
    )
    execute(run, job, aim)
    _say_difference(run, engine, release)


def _target(run: Run, to: str, before: State) -> Confirmation:
    """Return the confirmation to go back to: below the present one, or that one where another runs.

    In a gap it is the present one too: a change that stopped it was cut off. To a release that has died nginx
    still sends the traffic. A rollout that is held has not replaced it either.
    """
    running = before.release_of(before.traffic.leader)
    held = release_store.stack(release_store.confirmations(run.settings.releases))
    is_confirmed = not held or (running.id == held[-1].release if running else not gap.is_open(before))
    is_confirmed = is_confirmed and recovery.held(run.settings) is None
    below = held[:-1] if is_confirmed else held
    if to and not any(row.release.startswith(to) for row in below):
        raise PreflightError(
            f"no earlier confirmed release has an id that begins with {to!r}",
            "invoke rollback --list",
        )
    if not below:
        raise PreflightError("there is no earlier confirmed release to go back to", "invoke rollback --list")
    if not to:
        return below[-1]
    return [row for row in below if row.release.startswith(to)][-1]


def _kept(run: Run, engine: Engine, asked: Manifest, row: Confirmation) -> Release:
    release = release_store.description(run.settings.releases, row.release)
    if release is None or not engine.identity(components.app_in(asked, "blue", release)):
        raise PreflightError(
            f"release {row.release}, version {row.version}, is gone: its image or source is no longer kept",
            "invoke rollback --list",
        )
    return release


def _say_difference(run: Run, engine: Engine, release: Release) -> None:
    """Say how what runs now differs from what manifest.yaml gives."""
    try:
        given = engine.release(read_manifest(run))
    except (ManifestProblems, SwiftDeployError) as error:
        run.say(f"manifest.yaml cannot be compared with what runs: {error}")
        return
    if listed := changed_fields(given, release):
        run.say(f"manifest.yaml differs from what runs in: {listed}; next: invoke plan", "warn")

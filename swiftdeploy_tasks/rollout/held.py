"""A rollout that is held because its release is undecided: `promote` and `deploy` go on from there."""

from __future__ import annotations

from dataclasses import replace

from swiftdeploy_tasks.model.release import other
from swiftdeploy_tasks.rollout import (
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
from swiftdeploy_tasks.rollout.project import engine_of, job_of, read_file
from swiftdeploy_tasks.rollout.release_secrets import secrets_of
from swiftdeploy_tasks.rollout.serving import confirmed_slot
from swiftdeploy_tasks.session.run import Run


def resume(run: Run) -> bool:
    """Go on with the rollout that is held; False where none is, or where it can no longer go on.

    That is so after manifest.yaml has changed, and after one of its two slots was removed.
    """
    held = recovery.held(run.settings)
    if held is None:
        return False
    file, engine = read_file(run), engine_of(run)
    wanted = recovery.unchanged(file, held)
    if wanted is None:
        run.say("manifest.yaml has changed since the rollout was held: a new change begins", "warn")
        return False
    seen = observation.look(engine, run.settings)
    serving = confirmed_slot(seen, release_store.present(run.settings.releases))
    release = seen.release_of(other(serving)) if serving else None
    running = seen.release_of(serving)
    if serving is None or running is None or release is None or release.id != held.release:
        run.say("the rollout that was held is gone: a new change begins", "warn")
        return False
    job = replace(job_of(run, wanted.manifest, engine), resumes=True)
    before = observation.compared(job, seen, release)
    noting.target(run, before, release, wanted.manifest)
    job.secrets = secrets_of(release, before.slots[other(serving)].environment)
    job.watch = questions.slot_watch(run, job, Change(held.verb, running, release), serving)

    def write_mode() -> None:
        if held.verb == "promote":
            write_back.write_mode(run, wanted, read=file.content)

    execute(run, job, Aim(before, release, wanted, running, isolation.allowed_parts, write_mode=write_mode))
    return True

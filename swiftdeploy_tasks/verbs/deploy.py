"""Deploy: makes what runs match manifest.yaml."""

from __future__ import annotations

from swiftdeploy_tasks.errors import PreflightError
from swiftdeploy_tasks.model.finding import failure
from swiftdeploy_tasks.rollout import (
    held,
    isolation,
    noting,
    observation,
    preflight,
    preview,
    questions,
    recovery,
    release_store,
    scrape_records,
    slot_data,
    write_back,
)
from swiftdeploy_tasks.rollout.admission import Change
from swiftdeploy_tasks.rollout.change import Aim, execute
from swiftdeploy_tasks.rollout.project import engine_of, job_of, read_file
from swiftdeploy_tasks.rollout.release_secrets import secrets_of
from swiftdeploy_tasks.rollout.serving import serving_slot
from swiftdeploy_tasks.session.run import Run


def deploy(run: Run, *, again: bool, discard_volumes: bool = False) -> None:
    """Converge what runs to the manifest; on failure, undo. A rollout that is held goes on."""
    run.report(verdicts=[verdict.document() for verdict in questions.verdicts_before_deploy(run)])
    if held.resume(run):
        return
    file, engine = read_file(run), engine_of(run)
    asked, cut_off = file.manifest, recovery.settled(run)
    job = job_of(run, asked, engine)
    with run.screen.working("building and pulling what is missing"):
        engine.obtain(asked, run.say)
    if problem := failure((preflight.nginx(run.settings, asked, engine),)):
        raise problem
    release, present = engine.release(asked), release_store.present(run.settings.releases)
    seen = observation.look(engine, run.settings)
    is_barred = not again and release_store.was_rolled_back(run.settings.releases, release.id)
    kept = preview.changes_nginx_alone(job, seen, present) if is_barred else None
    if kept:
        run.say(preview.kept_instead(release, kept), "warn")
        release = kept
    before = observation.compared(job, seen, release)
    noting.target(run, before, release, asked)
    if is_barred and not kept:
        is_just_done = cut_off and (cut_off.verb, cut_off.release) == ("rollback", present)
        how = "the rollback that was interrupted, and is completed now" if is_just_done else "a rollback"
        raise PreflightError(
            f"release {release.id}, version {release.version}, was last removed by {how}",
            "change manifest.yaml, or: invoke deploy --again",
        )
    job.discard_volumes = discard_volumes
    slot_data.refuse_loss(job, "deploy", before, release)
    for notice in engine.facts(asked).notices if not before.slots else ():
        run.say(notice, "warn")
    leader = before.traffic.leader
    job.secrets = secrets_of(release, before.slots[leader].environment if kept and leader else {})
    running = before.release_of(leader)
    if running and running.mode != release.mode:
        questions.may_change_mode(run, asked, engine, before, Change("deploy", running, release))
    change = Change("deploy", running or release, release)
    old = serving_slot(before, present)
    job.watch = questions.slot_watch(run, job, change, None if before.release_of(old) == release else old)
    serving = execute(run, job, Aim(before, release, file, running, isolation.allowed_parts))
    if not before.slots:
        scrape_records.tell_metrics(run, asked, engine, serving)
    write_back.warn_edited(run, file.content)

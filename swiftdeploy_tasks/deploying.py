"""Deploy, and what it would do: make what runs be what manifest.yaml says."""

from __future__ import annotations

from swiftdeploy_tasks import apply, artifacts, asking, checks, releases, settling
from swiftdeploy_tasks.admission import Change
from swiftdeploy_tasks.change import (
    carry_out,
    job_of,
    keep_applied,
    secrets_of,
    tell_target,
    with_changed_secrets,
)
from swiftdeploy_tasks.errors import PreflightError
from swiftdeploy_tasks.plan import plan
from swiftdeploy_tasks.preflight import failure
from swiftdeploy_tasks.project import engine_of, read_manifest
from swiftdeploy_tasks.recording import Run


def deploy(run: Run, *, again: bool) -> None:
    """Converge what runs to the manifest; on failure, undo."""
    asked, engine = read_manifest(run), engine_of(run)
    run.document["verdicts"] = [verdict.document() for verdict in run.invocation.carried.get("verdicts", [])]
    text = run.settings.manifest.read_bytes()
    job = job_of(run, asked, engine)
    with run.screen.working("building and pulling what is missing"):
        engine.obtain(asked, run.say)
    if problem := failure((checks.nginx(run.settings, asked, engine),)):
        raise problem
    release = engine.release(asked)
    if not again and releases.was_rolled_back(run.settings.releases, release.id):
        raise PreflightError(
            f"release {release.id}, version {release.version}, was last removed by a rollback",
            "change manifest.yaml, or: invoke deploy --again",
        )
    job.secrets = secrets_of(release, {})
    settling.settle(run, job)
    before = with_changed_secrets(apply.look(engine, run.settings), engine, release)
    tell_target(run, before, release, asked)
    running = before.release_of(before.traffic.leader)
    if running and running.mode != release.mode:
        asking.may_change_mode(run, asked, engine, before, Change("deploy", running, release))
    if running:
        job.watch = asking.slot_watch(run, asked, engine, Change("deploy", running, release))
    carry_out(run, job, before, release, text)
    releases.confirm(run.settings.releases, release)
    keep_applied(run, text)
    asking.record_scrape(run, asked, engine)


def make_plan(run: Run) -> None:
    """Print the steps that deploy would take, with no effect."""
    asked, engine = read_manifest(run), engine_of(run)
    job = job_of(run, asked, engine)
    release = engine.release(asked)
    before = with_changed_secrets(apply.look(engine, run.settings), engine, release)
    wanted = apply.goal(job, release, confirmed=releases.present(run.settings.releases))
    steps = plan(before, wanted)
    for step in steps:
        run.say(f"{step.action} {step.target}: {step.reason}")
    if not steps:
        run.say("nothing would change")
    if steps and releases.was_rolled_back(run.settings.releases, release.id):
        run.say("deploy refuses this release until --again is given: it was last removed by a rollback")
    rendered = artifacts.render_root(
        asked, folders=run.settings.template_folders, review=engine.review(asked), with_opa=job.with_opa
    )
    changes = artifacts.compare(run.settings.root, rendered)
    run.screen.changes((change for change in changes if change.state != "unchanged"), diff=True)
    run.document |= {
        "files": [change.document() for change in changes],
        "in_sync": not steps and all(change.state == "unchanged" for change in changes),
        "steps": [{"action": s.action, "target": s.target, "reason": s.reason} for s in steps],
    }

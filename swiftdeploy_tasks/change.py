"""The verbs that change what runs: what is wanted, by which steps, and back again when it fails.

They differ only in the goal that they draw; `plan` finds the steps and `apply` runs them.
"""

from __future__ import annotations

import os
import time

from swiftdeploy_tasks import admission, apply, checks, releases
from swiftdeploy_tasks.engines import choice
from swiftdeploy_tasks.engines.protocol import Engine
from swiftdeploy_tasks.errors import PreflightError, SwiftDeployError
from swiftdeploy_tasks.job import Job
from swiftdeploy_tasks.manifest import Manifest
from swiftdeploy_tasks.plan import plan
from swiftdeploy_tasks.preflight import failure
from swiftdeploy_tasks.project import engine_of, read_manifest
from swiftdeploy_tasks.recording import Run
from swiftdeploy_tasks.release import Release, State


def _job(run: Run, asked: Manifest, engine: Engine) -> Job:
    return Job(
        settings=run.settings,
        manifest=asked,
        engine=engine,
        with_opa=admission.is_server(asked, engine.gate),
        say=run.say,
        record=run.note,
        secrets=_secrets(asked),
    )


def _secrets(asked: Manifest) -> dict[str, str]:
    sources = [variable.from_env for variable in asked.services.env if variable.from_env]
    if unset := [source for source in sources if source not in os.environ]:
        raise PreflightError(
            f"services.env takes a secret from {unset[0]}, which is not set", f"export {unset[0]}=…"
        )
    return {source: os.environ[source] for source in sources}


def deploy(run: Run) -> None:
    """Converge what runs to the manifest; on failure, undo."""
    asked, engine = read_manifest(run), engine_of(run)
    began = time.monotonic()
    run.document["verdicts"] = [verdict.document() for verdict in run.invocation.carried.get("verdicts", [])]
    job = _job(run, asked, engine)
    with run.screen.working("building and pulling what is missing"):
        engine.obtain(asked, run.say)
    if problem := failure((checks.nginx(run.settings, asked, engine),)):
        raise problem
    before = apply.look(engine)
    choice.record(run.settings, engine.name)
    try:
        engine.prepare(asked)
        release = engine.release(asked)
        _tell_target(run, before, release, asked)
        with run.screen.working("deploying"):
            _converge(run, job, before, release)
    except (SwiftDeployError, KeyboardInterrupt, OSError):
        _go_back(run, job, before)
        raise
    finally:
        run.document |= {"spent": job.spent, "duration_s": round(time.monotonic() - began, 3)}


def _converge(run: Run, job: Job, before: State, release: Release) -> None:
    steps = plan(before, apply.goal(job, release, confirmed=releases.present(run.settings.releases)))
    apply.apply(job, steps)
    serving = apply.look(job.engine).traffic.leader
    run.invocation.carried["confirmed"] = True
    releases.confirm(run.settings.releases, release)
    run.document["slot"] = serving
    done = "serves" if steps else "serves already, nothing to do"
    told = f"version {release.version} ({release.mode}) {done}, at {run.document['url']} from app-{serving}"
    run.screen.line(f"  {told}", "pass")


def _tell_target(run: Run, before: State, release: Release, asked: Manifest) -> None:
    previous = before.release_of(before.traffic.leader)
    run.document |= {
        "release": release.id,
        "previous": previous.id if previous else None,
        "mode": release.mode,
        "version": release.version,
        "slot": before.traffic.leader,
        "url": f"http://127.0.0.1:{asked.nginx.port}/",
    }
    run.record(
        "target",
        release=release.id,
        previous=previous.id if previous else None,
        mode=release.mode,
        version=release.version,
    )


def _go_back(run: Run, job: Job, before: State) -> None:
    """Undo, and say so; an undo that fails is told and does not hide what went wrong first."""
    try:
        apply.undo(job, before)
        if before.proxy is None and not before.slots:
            choice.forget(run.settings)
        run.note("undone", "done")
    except (SwiftDeployError, OSError) as error:
        run.note("undone", "failed", error=str(error))
        run.screen.line(f"  going back failed too: {error}; run: invoke deploy", "fail")


def make_plan(run: Run) -> None:
    """Print the steps that deploy would take and the diff of each rendered file, with no effect."""
    asked, engine = read_manifest(run), engine_of(run)
    before = apply.look(engine)
    job = Job(run.settings, asked, engine, admission.is_server(asked, engine.gate), run.say, run.note)
    goal = apply.goal(job, engine.release(asked), confirmed=releases.present(run.settings.releases))
    steps = plan(before, goal)
    for step in steps:
        run.say(f"{step.action} {step.target}: {step.reason}")
    if not steps:
        run.say("nothing would change")
    run.document |= {
        "in_sync": not steps,
        "steps": [{"action": s.action, "target": s.target, "reason": s.reason} for s in steps],
    }

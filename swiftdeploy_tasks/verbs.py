"""What each verb does, from the manifest to the last look: the flow, without Invoke.

Stands apart from `lifecycle`, which is wiring, so that the order of things can be read in one place. It
carries values between the rooms and has no rule of its own.
"""

from __future__ import annotations

import os
import time
from typing import Any

from swiftdeploy_tasks import admission, apply, artifacts, checks, manifest, releases
from swiftdeploy_tasks.engines import choice
from swiftdeploy_tasks.engines.protocol import Engine
from swiftdeploy_tasks.errors import GateUnavailable, PolicyRefused, PreflightError, SwiftDeployError
from swiftdeploy_tasks.gate.bundle import Bundle
from swiftdeploy_tasks.gate.verdict import Question, Verdict
from swiftdeploy_tasks.manifest import Manifest, ManifestProblems
from swiftdeploy_tasks.plan import plan
from swiftdeploy_tasks.preflight import Finding, failure
from swiftdeploy_tasks.recording import Run
from swiftdeploy_tasks.release import Placement, Release, Slot, State, Traffic


def read_manifest(run: Run) -> Manifest:
    """Return the manifest as this invocation read it first; raises ManifestError."""
    carried = run.invocation.carried
    if "manifest" not in carried:
        carried["manifest"] = manifest.load(run.settings.manifest, schema=run.settings.schema)
    found: Manifest = carried["manifest"]
    return found


def engine_of(run: Run) -> Engine:
    """Return the project's engine, the same one for the whole invocation."""
    carried = run.invocation.carried
    if "engine" not in carried:
        carried["engine"] = choice.choose(run.settings, read_manifest(run))
    engine: Engine = carried["engine"]
    run.document["engine"] = engine.name
    return engine


def validate(run: Run) -> None:
    """Make all checks and print them; raises what the failed ones call for."""
    findings = _findings(run)
    run.screen.findings(findings)
    run.document["checks"] = [
        {"name": f.name, "passed": f.passed, "message": f.message, "next": f.next} for f in findings
    ]
    if problem := failure(findings):
        raise problem


def _findings(run: Run) -> tuple[Finding, ...]:
    try:
        asked = read_manifest(run)
    except ManifestProblems as error:
        problems = tuple(Finding(p.stage, False, p.text, error.next) for p in error.problems)
        return checks.with_the_rest(problems, "the manifest is not valid")
    try:
        engine = engine_of(run)
    except PreflightError as error:
        return checks.with_the_rest(
            (Finding("engine", False, error.message, error.next),), "there is no engine"
        )
    return checks.all_of(run.settings, asked, engine)


def render(run: Run) -> None:
    """Write nginx.conf and docker-compose.yml at the root; what was edited by hand is kept aside."""
    asked, engine = read_manifest(run), engine_of(run)
    rendered = artifacts.render_root(
        asked,
        folders=run.settings.template_folders,
        engine=engine.name,
        with_opa=admission.is_server(asked, engine.gate),
    )
    changes = artifacts.compare(run.settings.root, rendered)
    aside = run.settings.state / "edited"
    try:
        artifacts.write(changes, aside=aside)
    except OSError as error:
        raise PreflightError(
            f"{error.filename or run.settings.root} cannot be written: {error.strerror}",
            "make the folder writable",
        ) from None
    run.screen.changes(changes, diff=True)
    if any(change.state == "mended" for change in changes):
        run.say(f"what had been edited by hand was kept in {aside}")
    run.document["files"] = [{"path": str(c.path), "state": c.state, "diff": c.diff} for c in changes]


def build(run: Run) -> None:
    """Build or pull what the manifest names and is not here."""
    asked, engine = read_manifest(run), engine_of(run)
    with run.screen.working("building"):
        engine.obtain(asked, run.say)
    run.say(f"{asked.services.image if engine.name != 'local' else 'the source'} is ready")


def policy_check(run: Run) -> None:
    """Ask the gate about this host and these artifacts; raises PolicyRefused or GateUnavailable."""
    asked, engine = read_manifest(run), engine_of(run)
    rules = admission.bundle(run.settings, asked)
    admission.publish(run.settings, rules)
    if admission.is_server(asked, engine.gate):
        _have_opa(run, asked, engine, rules)
    verdicts = [_ask(run, question, asked, engine, rules) for question in _before_deploy(run, asked, engine)]
    run.invocation.carried["verdicts"] = verdicts
    refused = [check for verdict in verdicts for check in verdict.failed]
    if refused:
        first = refused[0]
        more = f" (and {len(refused) - 1} more)" if len(refused) > 1 else ""
        raise PolicyRefused(
            f"{first.rule}: {first.message}{more}; nothing was changed",
            "mend what the rule names, or change its limit under policy: in manifest.yaml",
        )


def _before_deploy(run: Run, asked: Manifest, engine: Engine) -> tuple[Question, ...]:
    from swiftdeploy_tasks import host

    home = run.settings.home
    with_opa = admission.is_server(asked, engine.gate)
    images = {"nginx": asked.nginx.image, "opa": asked.opa.image, "app-blue": asked.services.image}
    compose = artifacts.render_compose(
        asked,
        folders=run.settings.template_folders,
        placed={"blue": _draft(asked)},
        with_opa=with_opa,
        images=images,
        home=home,
    )
    nginx = artifacts.render_nginx(
        asked,
        engine.candidate_site(asked),
        folders=run.settings.template_folders,
        addresses={},
        traffic=Traffic(),
        generation="asked",
    )["nginx.conf"]
    return (
        admission.about_host(engine.name, host.measure(engine.disks())),
        admission.about_isolation(engine.name, asked, compose=compose, nginx=nginx),
    )


def _draft(asked: Manifest) -> Release:
    from swiftdeploy_tasks.release import from_manifest

    return from_manifest(asked, artifact="", process=())


def _have_opa(run: Run, asked: Manifest, engine: Engine, rules: Bundle) -> None:
    """Have an OPA that answers with our revision; one started here goes with the process unless confirmed."""
    from swiftdeploy_tasks.gate.opa import wait_ready

    job = _job(run, asked, engine)
    url = f"http://127.0.0.1:{asked.opa.port}"
    engine.prepare_opa(asked, run.say)
    state = engine.observe()
    apply.write_compose(job, state)
    spec = engine.opa_spec(asked, apply.compose(job, state))
    run.invocation.at_end.callback(_end_opa, run, engine)
    run.invocation.carried["opa_started"] = True
    started = engine.start_opa(asked, spec, run.say)
    run.invocation.carried["opa_started"] = started
    try:
        wait_ready(url, rules.revision)
    except GateUnavailable as error:
        if started:
            raise GateUnavailable(error.message, error.next, log=engine.logs("opa")) from None
        run.say("OPA does not answer with the present policies: restarting it once")
        engine.stop_opa()
        engine.prepare_opa(asked, run.say)
        engine.start_opa(asked, spec, run.say)
        wait_ready(url, rules.revision)


def _end_opa(run: Run, engine: Engine) -> None:
    if run.invocation.carried.get("opa_started") and not run.invocation.carried.get("confirmed"):
        engine.stop_opa()


def _ask(run: Run, question: Question, asked: Manifest, engine: Engine, rules: Bundle) -> Verdict:
    """Ask, record the answer with its input, limits and revision, and only then hand it on."""
    server = admission.is_server(asked, engine.gate)
    try:
        verdict = admission.ask(question, rules, port=asked.opa.port, server=server)
    except GateUnavailable as error:
        run.note(
            "verdict",
            "unanswered",
            domain=question.domain,
            input=dict(question.input),
            revision=rules.revision,
            error=error.message,
        )
        raise
    run.note(
        "verdict",
        "allowed" if verdict.allow else "refused",
        input=dict(question.input),
        limits=rules.limits(question.domain),
        **verdict.document(),
    )
    run.screen.verdict(verdict)
    run.document["verdicts"] = [*run.document.get("verdicts", []), verdict.document()]
    return verdict


def _job(run: Run, asked: Manifest, engine: Engine) -> apply.Job:
    return apply.Job(
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


def _converge(run: Run, job: apply.Job, before: State, release: Release) -> None:
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


def _go_back(run: Run, job: apply.Job, before: State) -> None:
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
    job = apply.Job(run.settings, asked, engine, admission.is_server(asked, engine.gate), run.say, run.note)
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


def status(run: Run) -> None:
    """Print what runs, once."""
    name = choice.recorded(run.settings)
    asked = read_manifest(run)
    engine = choice.make(name, run.settings) if name else engine_of(run)
    run.document["engine"] = engine.name
    seen = apply.look(engine)
    leader = seen.release_of(seen.traffic.leader)
    slots: dict[Slot, Any] = {slot: _slot_document(seen, slot) for slot in ("blue", "green")}
    run.document["slots"] = slots
    if leader is None:
        run.say(f"nothing is deployed on the {engine.name} engine; next: invoke deploy")
        return
    url = f"http://127.0.0.1:{asked.nginx.port}/"
    run.document |= {"mode": leader.mode, "version": leader.version, "url": url}
    run.say(f"engine {engine.name}, {url}, version {leader.version} ({leader.mode})")
    for slot, there in slots.items():
        if there:
            health = "healthy" if there["healthy"] else "NOT healthy"
            share = f"weight {there['weight']}, {health}"
            run.say(f"app-{slot}: version {there['version']} ({there['mode']}), {share}")


def _slot_document(seen: State, slot: Slot) -> dict[str, Any] | None:
    there: Placement | None = seen.slots.get(slot)
    if there is None:
        return None
    release = there.release
    return {
        "release": release.id if release else None,
        "mode": release.mode if release else None,
        "version": release.version if release else None,
        "weight": seen.traffic.of(slot),
        "healthy": bool(there.healthy),
        "chaos": None,
        "window": None,
    }


def teardown(run: Run, *, clean: bool) -> None:
    """Remove everything that carries our home, from any state; with `clean`, what was generated too."""
    name = choice.recorded(run.settings)
    names = [name] if name else [n for n in choice.NAMES if n == "local" or choice.docker_is_here()]
    removed: list[str] = []
    for engine_name in names:
        engine = choice.make(engine_name, run.settings)
        run.document["engine"] = engine.name
        with run.screen.working("removing"):
            removed += engine.remove_all(run.say)
    choice.forget(run.settings)
    if clean:
        removed += _clean(run)
    run.document["removed"] = removed
    run.say(f"removed {', '.join(removed)}" if removed else "nothing of this project runs")


def _clean(run: Run) -> list[str]:
    """Remove what was generated; the history, its head and its lock stay."""
    import shutil

    removed = []
    kept = {"history.jsonl", "history.lock", "head.json", "lock", "torn"}
    for path in sorted(run.settings.state.glob("*")):
        if path.name not in kept and not path.name.startswith("history"):
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
            removed.append(f"{run.settings.state.name}/{path.name}")
    for name in artifacts.ROOT_FILES:
        path = run.settings.root / name
        if path.exists() and artifacts.content_digest(
            path.read_text(encoding="utf-8", errors="replace")[:200]
        ):
            path.unlink()
            removed.append(name)
    return removed

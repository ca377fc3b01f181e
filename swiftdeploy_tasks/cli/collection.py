"""The verbs as Invoke tasks: prerequisites, options and help. The work is in `verbs`."""

from __future__ import annotations

from typing import Any

from invoke import Collection, Context, task

from swiftdeploy_tasks.rollout import questions
from swiftdeploy_tasks.rollout.recovery import settle
from swiftdeploy_tasks.session.run import current
from swiftdeploy_tasks.session.task import RecordedTask
from swiftdeploy_tasks.system import reserved_space
from swiftdeploy_tasks.verbs import build as build_verb
from swiftdeploy_tasks.verbs import deploy as deploy_verb
from swiftdeploy_tasks.verbs import plan as plan_verb
from swiftdeploy_tasks.verbs import promote as promote_verb
from swiftdeploy_tasks.verbs import render as render_verb
from swiftdeploy_tasks.verbs import rollback as rollback_verb
from swiftdeploy_tasks.verbs import teardown as teardown_verb
from swiftdeploy_tasks.verbs import validate as validate_verb

JSON = {"json": "Print one JSON document on stdout, and everything else on stderr."}
WAIT = {"wait": "Seconds to wait while another invocation holds the project's lock."}
DISCARD = {"discard-volumes": "Replace a slot although volumes that its image declares hold data."}
_CHANGE: dict[str, Any] = {
    "verdicts": [],
    "release": None,
    "previous": None,
    "mode": None,
    "version": None,
    "slot": None,
    "url": None,
    "duration_s": None,
    "spent": {},
}


@task(klass=RecordedTask, help=JSON, document={"checks": []})
def validate(c: Context, json: bool = False) -> None:
    """Run every pre-flight check; the exit code says whether one failed."""
    validate_verb.validate(settle(current()))


@task(
    klass=RecordedTask,
    pre=[validate],
    aliases=["init"],
    writes=True,
    help=JSON | WAIT,
    document={"files": []},
)
def render(c: Context, json: bool = False, wait: int = 0) -> None:
    """Write nginx.conf and docker-compose.yml for review."""
    render_verb.render(settle(current()))


@task(klass=RecordedTask, writes=True, needs_history=True, help=JSON | WAIT)
def build(c: Context, json: bool = False, wait: int = 0) -> None:
    """Build or pull the image where it is missing or out of date."""
    build_verb.build(settle(current()))


@task(klass=RecordedTask, pre=[validate], writes=True, help=JSON | WAIT, document={"verdicts": []})
def policy_check(c: Context, json: bool = False, wait: int = 0) -> None:
    """Ask the policies about this host and these files."""
    questions.policy_check(settle(current()))


@task(
    klass=RecordedTask,
    has_no_effect=True,
    help={"check": "Exit 9 when something would change."} | JSON,
    document={"in_sync": None, "steps": [], "files": []},
)
def plan(c: Context, check: bool = False, json: bool = False) -> None:
    """Print what deploy would do and why; change nothing."""
    plan_verb.show(current(), check=check)


@task(
    klass=RecordedTask,
    pre=[render, policy_check],
    writes=True,
    needs_history=True,
    help={"again": "Deploy a release that was last removed by a rollback."} | DISCARD | JSON | WAIT,
    document=_CHANGE,
)
def deploy(
    c: Context, again: bool = False, discard_volumes: bool = False, json: bool = False, wait: int = 0
) -> None:
    """Make what runs match manifest.yaml."""
    run = settle(current())
    reserved_space.keep(run.settings.state)
    deploy_verb.deploy(run, again=again, discard_volumes=discard_volumes)


@task(
    klass=RecordedTask,
    pre=[validate],
    writes=True,
    needs_history=True,
    help={"mode": "stable or canary; without it, the other one."} | DISCARD | JSON | WAIT,
    document=_CHANGE,
)
def promote(
    c: Context, mode: str = "", discard_volumes: bool = False, json: bool = False, wait: int = 0
) -> None:
    """Run the current release in the other mode, stable or canary."""
    run = settle(current())
    reserved_space.keep(run.settings.state)
    promote_verb.promote(run, mode, discard_volumes=discard_volumes)


@task(
    klass=RecordedTask,
    writes=True,
    spends_reserve=True,
    help={
        "list": "Print the confirmed releases; run none.",
        "to": "Run this release, given by its id or the beginning of it.",
    }
    | JSON
    | WAIT,
    document=_CHANGE,
)
def rollback(c: Context, to: str = "", list: bool = False, json: bool = False, wait: int = 0) -> None:
    """Run the previous release again."""
    if list:
        rollback_verb.show(current())
        return
    rollback_verb.rollback(settle(current()), to)
    reserved_space.keep(current().settings.state)


@task(
    klass=RecordedTask,
    titled=False,
    help={
        "once": "Print once, on a terminal too.",
        "interval": "Seconds between two refreshes on a terminal.",
        "exit-code": "Print once, and exit with the first that applies: 6 an unhealthy slot, 4 no answer of "
        "the policy engine, 3 a failed rule, 9 drift.",
        "html": "Print once, and write the status as a page to this file.",
    }
    | JSON,
    document={
        "mode": None,
        "version": None,
        "url": None,
        "slots": {"blue": None, "green": None},
        "compliance": [],
        "drift": [],
    },
)
def status(
    c: Context,
    *,
    once: bool = False,
    interval: int = 5,
    exit_code: bool = False,
    html: str = "",
    json: bool = False,
) -> None:
    """Show what runs, its health, the policies and drift; live on a terminal."""
    # No other verb needs a dashboard: it is not loaded for them.
    from swiftdeploy_tasks.status.overview import show

    show(current(), once=once, interval=interval, exit_code=exit_code, html=html)


@task(
    klass=RecordedTask,
    looks_first=True,
    help={
        "since": "Report from this time on: 2026-11-24, 2026-11-24T15:00:00Z (UTC without a zone), or"
        " how long ago, as 90m, 24h or 7d.",
        "until": "Report up to this time; a day is included whole.",
        "html": "Also write audit_report.html, one file with charts.",
        "open": "Also open audit_report.html in a browser.",
    }
    | JSON,
    document={
        "verified": None,
        "records": None,
        "first_bad": None,
        "first_bad_file": None,
        "reason": None,
        "proven": None,
        "head": None,
        "report": None,
        "page": None,
    },
)
def audit(
    c: Context,
    *,
    since: str = "",
    until: str = "",
    html: bool = False,
    open: bool = False,
    json: bool = False,
) -> None:
    """Verify the whole history and write audit_report.md."""
    # No other verb needs a report: it is not loaded for them.
    from swiftdeploy_tasks.verbs import audit as audit_verb

    audit_verb.audit(current(), since=since, until=until, html=html, open=open)


@task(
    klass=RecordedTask,
    writes=True,
    spends_reserve=True,
    help={
        "clean": "Also remove generated files; the history stays.",
        "volumes": "Also remove the app's volumes and their data; asks for the project's name.",
        "yes": "Do not ask for the project's name.",
    }
    | JSON
    | WAIT,
    document={"removed": []},
)
def teardown(  # noqa: PLR0917  (the command line)
    c: Context,
    clean: bool = False,
    volumes: bool = False,
    yes: bool = False,
    json: bool = False,
    wait: int = 0,
) -> None:
    """Remove everything of this project that runs."""
    teardown_verb.teardown(current(), clean=clean, volumes=volumes, is_agreed=yes)


ns = Collection(
    "swiftdeploy",
    validate,
    render,
    build,
    policy_check,
    plan,
    deploy,
    promote,
    rollback,
    status,
    audit,
    teardown,
)
ns.configure({"swiftdeploy": {"state": ""}})

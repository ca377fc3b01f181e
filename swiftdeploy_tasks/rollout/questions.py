"""Asks the gate for a verb: publishes the policies, starts OPA, asks, and records the verdict.

A verdict is recorded before a verb acts on it.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from swiftdeploy_tasks.engines.protocol import Engine
from swiftdeploy_tasks.errors import GateUnavailable, PolicyRefused
from swiftdeploy_tasks.gate.bundle import Bundle
from swiftdeploy_tasks.manifest.model import Manifest
from swiftdeploy_tasks.metrics import Counter, Scrape
from swiftdeploy_tasks.model import components
from swiftdeploy_tasks.model.release import SLOTS, Release, Slot, from_manifest
from swiftdeploy_tasks.model.state import State, Traffic
from swiftdeploy_tasks.model.verdict import Question, Verdict
from swiftdeploy_tasks.proxy import configuration
from swiftdeploy_tasks.rollout import admission, canary, policies, release_store
from swiftdeploy_tasks.rollout.admission import Change
from swiftdeploy_tasks.rollout.canary import Figures
from swiftdeploy_tasks.rollout.job import Job
from swiftdeploy_tasks.rollout.opa_process import OpaStart, have_opa
from swiftdeploy_tasks.rollout.project import engine_of, read_manifest
from swiftdeploy_tasks.rollout.scrape_records import ROLLBACK_WINDOW, record_chaos, scrapes_of
from swiftdeploy_tasks.rollout.slot_evidence import SlotEvidence, limits_in
from swiftdeploy_tasks.session.events import VerdictGiven, VerdictMissing, Wanted
from swiftdeploy_tasks.session.run import Run
from swiftdeploy_tasks.system import host

BEFORE_DEPLOY = ("infrastructure", "isolation")


@dataclass
class Answers:
    """The policies in force in this invocation, or why there are none, and the verdicts of policy-check."""

    rules: Bundle | None = None
    unavailable: GateUnavailable | None = None
    verdicts: list[Verdict] = field(default_factory=list)


def policy_check(run: Run) -> None:
    """Ask the gate about this host and these artifacts; raises PolicyRefused or GateUnavailable."""
    asked, engine = read_manifest(run), engine_of(run)
    run.emit(Wanted(version=asked.services.version, mode=asked.services.mode))
    rules = ready(run, asked, engine, *BEFORE_DEPLOY)
    verdicts = [
        ask_recorded(run, question, asked, engine, rules) for question in before_deploy(run, asked, engine)
    ]
    run.invocation.shared(Answers).verdicts = verdicts
    refuse(run, engine, *verdicts)


def verdicts_before_deploy(run: Run) -> list[Verdict]:
    """Return the verdicts of this invocation's policy-check."""
    return run.invocation.shared(Answers).verdicts


def refuse(run: Run, engine: Engine, *verdicts: Verdict) -> None:
    """Raise PolicyRefused where one of the verdicts is no."""
    refused = [check for verdict in verdicts for check in verdict.failed]
    if not refused:
        return
    is_isolation = any(verdict.failed and verdict.domain == "isolation" for verdict in verdicts)
    if is_isolation and run.invocation.shared(OpaStart).parts:
        # It was started from the files that are refused.
        engine.stop(components.OPA)
    more = f" (and {len(refused) - 1} more)" if len(refused) > 1 else ""
    raise PolicyRefused(
        f"{refused[0].sentence}{more}; nothing that runs was changed",
        "correct what the rule names, or change its limit in manifest.yaml (policy:) or policies/data.json",
    )


def ready(run: Run, asked: Manifest, engine: Engine, *domains: str) -> Bundle:
    """Publish the present policies, and make sure that an engine can answer about these domains.

    Raises GateUnavailable, when that is on record for each of them; it is found out once an invocation.
    """
    answers = run.invocation.shared(Answers)
    try:
        if answers.unavailable:
            raise answers.unavailable
        if answers.rules is None:
            rules = policies.bundle(run.settings, asked)
            policies.publish(run.settings, rules)
            if policies.is_server(asked, engine):
                have_opa(run, asked, engine, rules)
            answers.rules = rules
    except GateUnavailable as error:
        answers.unavailable = error
        for domain in domains:
            run.emit(VerdictMissing(domain=domain, error=error.message))
        raise
    return answers.rules


def before_deploy(run: Run, asked: Manifest, engine: Engine) -> tuple[Question, ...]:
    """Return what is asked before a deploy: about this host, and about the files as they would be applied."""
    home, facts = run.settings.home, engine.facts(asked)
    with_opa = policies.is_server(asked, engine)
    placed = dict.fromkeys(SLOTS, from_manifest(asked, artifact="", process=()))
    found = engine.written(components.specs(asked, placed, state=home, with_opa=with_opa))
    rendered = configuration.render(
        asked,
        facts.candidate,
        folders=run.settings.template_folders,
        addresses={},
        traffic=Traffic(),
        generation="asked",
    )
    nginx = "\n".join(rendered.values())
    return (
        admission.about_host(engine.name, host.measure(facts.disks)),
        admission.about_isolation(engine.name, asked, written=found, nginx=nginx, home=home),
    )


def ask_recorded(
    run: Run, question: Question, asked: Manifest, engine: Engine, rules: Bundle, *, quiet: bool = False
) -> Verdict:
    """Ask, record the answer with its input, limits and revision, and only then hand it on."""
    try:
        verdict = admission.ask(question, rules, settings=run.settings, manifest=asked, engine=engine)
    except GateUnavailable as error:
        more = {"input": dict(question.input), "revision": rules.revision}
        run.emit(VerdictMissing(domain=question.domain, error=error.message, more=more))
        raise
    run.emit(
        VerdictGiven(
            outcome="allowed" if verdict.allow else "refused",
            verdict=verdict,
            input=question.input,
            limits=rules.limits(question.domain),
            is_quiet=quiet,
        )
    )
    return verdict


def may_change_mode(run: Run, asked: Manifest, engine: Engine, before: State, change: Change) -> None:
    """Ask about what serves now, before its mode changes; raises PolicyRefused or GateUnavailable."""
    serving = before.traffic.leader
    assert serving is not None
    rules = ready(run, asked, engine, "canary")
    seconds = float(rules.limits("canary")[policies.WINDOW])

    def wait(length: float) -> None:
        run.screen.countdown(f"measuring what serves now for {length:g} s", length)

    figures = _figures(run, asked, engine, serving, change, seconds=seconds, wait=wait)
    question = admission.about_canary(change, asked, "before", figures, healthy=_is_well(before, serving))
    verdict = ask_recorded(run, question, asked, engine, rules)
    if verdict.failed:
        raise PolicyRefused(
            f"{verdict.failed[0].sentence}; nothing that runs was changed",
            _way_out(asked, figures, can_go_back=release_store.can_go_back(run.settings.releases)),
        )


def _way_out(asked: Manifest, figures: Figures, *, can_go_back: bool) -> str:
    """Return the next command for an operator whose change of mode was refused by these figures."""
    if figures.problem and asked.services.metrics == "nginx":
        return "invoke status"
    if figures.problem:
        return "correct the app's metrics, or set services.metrics: {from: nginx}, then: invoke deploy"
    return "invoke rollback" if can_go_back else "correct the app, then: invoke deploy"


def tell_rollback(run: Run, asked: Manifest, engine: Engine, before: State, change: Change) -> None:
    """Ask the gate about a rollback, for the record; an unavailable gate is recorded too."""
    serving = before.traffic.leader
    try:
        rules = ready(run, asked, engine, "canary")
        figures = Figures(None)
        if serving:
            seconds = float(rules.limits("canary")[policies.WINDOW])
            figures = _figures(
                run,
                asked,
                engine,
                serving,
                change,
                seconds=seconds,
                wait=lambda _: time.sleep(ROLLBACK_WINDOW),
            )
        question = admission.about_canary(change, asked, "before", figures, healthy=_is_well(before, serving))
        ask_recorded(run, question, asked, engine, rules)
    except (GateUnavailable, OSError) as error:
        run.say(f"canary gave no answer ({error}); the rollback continues", "warn")


def _figures(
    run: Run,
    asked: Manifest,
    engine: Engine,
    serving: Slot,
    change: Change,
    *,
    seconds: float,
    wait: Callable[[float], None],
) -> Figures:
    """Return what the serving slot did in the window before a change."""
    recorded = scrapes_of(run, serving, change.current, seconds=seconds)
    return _masked(run, canary.before(asked, engine, serving, seconds=seconds, recorded=recorded, wait=wait))


def _masked(run: Run, figures: Figures) -> Figures:
    """Return the figures without secrets: an error may quote the app's page, and it is recorded and shown."""
    return dataclasses.replace(figures, problem=run.masked(figures.problem))


def _is_well(seen: State, slot: Slot | None) -> bool:
    there = seen.slots.get(slot) if slot else None
    return there is not None and there.healthy is True


def slot_watch(run: Run, job: Job, change: Change, old: Slot | None) -> canary.SlotWatch:
    """Return the watch of the new slot beside the `old` one; each of its verdicts is recorded.

    Without overlap there is no old slot: it stops first, and the new one may get its address.
    """
    asked, engine = job.manifest, job.engine
    old = old if asked.rollout.overlap else None
    rules = ready(run, asked, engine, "canary")
    host, port = engine.observe().reach(old)
    tolerated = rules.limits("canary").get("max_error_rate")

    def put(phase: str, release: Release, figures: Figures, healthy: bool) -> Verdict:
        figures = _masked(run, figures)
        question = admission.about_canary(change, asked, phase, figures, healthy=healthy)
        return ask_recorded(run, question, asked, engine, rules, quiet=phase == "watch")

    def notice(slot: Slot, release: Release, earlier: Scrape | None, now: Scrape) -> None:
        record_chaos(run, slot, release, earlier, now)

    return canary.SlotWatch(
        engine,
        asked,
        asked.nginx.operator_port,
        put,
        notice,
        Counter(f"{host}:{port}" if host else ""),
        tolerated if isinstance(tolerated, (int, float)) else 0.0,
        SlotEvidence(limits_in(rules.limits("canary")), asked.rollout.warmup, job.say),
        old,
        job.pace,
        tuple(job.secrets.values()),
    )

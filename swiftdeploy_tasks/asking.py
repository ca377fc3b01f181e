"""How does a verb come by a verdict: publish the policies, have somebody to ask, ask, record, believe.

Stands apart so that no verb can act on an answer that was not recorded first. What is asked is
`admission`'s business, and what the answer is the policies'.
"""

from __future__ import annotations

from swiftdeploy_tasks import admission, artifacts, host
from swiftdeploy_tasks.engines.protocol import Engine
from swiftdeploy_tasks.errors import GateUnavailable, PolicyRefused
from swiftdeploy_tasks.gate.bundle import Bundle
from swiftdeploy_tasks.gate.verdict import Question, Verdict
from swiftdeploy_tasks.job import Job, compose, write_compose
from swiftdeploy_tasks.manifest import Manifest
from swiftdeploy_tasks.project import engine_of, read_manifest
from swiftdeploy_tasks.recording import Run
from swiftdeploy_tasks.release import Traffic, from_manifest


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
        named = first.message if first.message.startswith(first.rule) else f"{first.rule}: {first.message}"
        raise PolicyRefused(
            f"{named}{more}; nothing was changed",
            "mend what the rule names, or change its limit under policy: in manifest.yaml",
        )


def _before_deploy(run: Run, asked: Manifest, engine: Engine) -> tuple[Question, ...]:
    home = run.settings.home
    with_opa = admission.is_server(asked, engine.gate)
    images = {"nginx": asked.nginx.image, "opa": asked.opa.image, "app-blue": asked.services.image}
    compose = artifacts.render_compose(
        asked,
        folders=run.settings.template_folders,
        placed={"blue": from_manifest(asked, artifact="", process=())},
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


def _have_opa(run: Run, asked: Manifest, engine: Engine, rules: Bundle) -> None:
    """Have an OPA that answers with our revision; one started here goes with the process unless confirmed."""
    from swiftdeploy_tasks.gate.opa import wait_ready

    job = Job(run.settings, asked, engine, True, run.say, run.note)
    url = f"http://127.0.0.1:{asked.opa.port}"
    engine.prepare_opa(asked, run.say)
    state = engine.observe()
    write_compose(job, state)
    spec = engine.opa_spec(asked, compose(job, state))
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

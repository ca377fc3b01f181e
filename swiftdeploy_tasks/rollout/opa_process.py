"""Starts and stops OPA for a verb that asks it."""

from __future__ import annotations

from dataclasses import dataclass

from swiftdeploy_tasks.engines.protocol import Engine
from swiftdeploy_tasks.errors import GateUnavailable
from swiftdeploy_tasks.gate.bundle import Bundle
from swiftdeploy_tasks.manifest.model import Manifest
from swiftdeploy_tasks.rollout import admission, policies
from swiftdeploy_tasks.rollout.admission import Part
from swiftdeploy_tasks.rollout.job import Job, write_compose
from swiftdeploy_tasks.session.events import Drifted
from swiftdeploy_tasks.session.run import Run


@dataclass
class OpaStart:
    """The OPA that this invocation started.

    `is_ours` where there was none before, `parts` its part of the compose file, and `stays` where a release
    serves with it.
    """

    is_ours: bool = False
    parts: frozenset[Part] = frozenset()
    stays: bool = False


def have_opa(run: Run, asked: Manifest, engine: Engine, rules: Bundle) -> None:
    """Have an OPA that answers with our revision; one started here goes with the process unless confirmed."""
    from swiftdeploy_tasks.gate.opa_server import wait_ready

    job = Job(run.settings, asked, engine, True, run.emit)
    url = policies.opa_url(asked.opa.port)
    engine.prepare_opa(asked, run.say)
    policies.declared_rules(run.settings, asked, engine, rules)
    text = write_compose(job, engine.observe())
    spec = engine.opa_spec(asked, text)
    had, fault = engine.has_opa(), engine.opa_fault(spec, text)
    if had and fault:
        difference = {"target": "opa", "what": "the state", "found": fault}
        run.emit(Drifted(outcome="found", difference=difference))
    run.invocation.at_end.callback(end_opa, run, engine)
    run.invocation.shared(OpaStart).is_ours = not had
    if fault:
        start_opa(run, engine, asked, spec, text)

    def runs() -> bool:
        return not engine.opa_fault(spec, text)

    try:
        wait_ready(url, rules.revision, is_starting=runs if fault else lambda: False)
    except GateUnavailable as error:
        if fault:
            raise GateUnavailable(error.message, error.next, log=engine.logs("opa")) from None
        run.say("OPA does not answer with the present policies: restarting it once")
        start_opa(run, engine, asked, spec, text)
        wait_ready(url, rules.revision, is_starting=runs)


def start_opa(run: Run, engine: Engine, asked: Manifest, spec: str, text: str) -> None:
    """Start OPA; isolation is asked about its part of the compose file as soon as it answers."""
    own = (part for part in admission.compose_parts(text) if part[0] == "services.opa")
    run.invocation.shared(OpaStart).parts = frozenset(own)
    engine.start_opa(asked, spec, run.say)


def end_opa(run: Run, engine: Engine) -> None:
    """Stop OPA where this invocation started it and no release serves."""
    start = run.invocation.shared(OpaStart)
    if start.is_ours and not start.stays:
        engine.stop_opa()


def keep_opa(run: Run) -> None:
    """Keep the OPA that this invocation started: a release serves."""
    run.invocation.shared(OpaStart).stays = True

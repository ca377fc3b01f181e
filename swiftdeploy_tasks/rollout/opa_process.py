"""Starts and stops OPA for a verb that asks it."""

from __future__ import annotations

from dataclasses import dataclass

from swiftdeploy_tasks.engines.protocol import Engine
from swiftdeploy_tasks.errors import EngineError, GateUnavailable
from swiftdeploy_tasks.gate.bundle import Bundle
from swiftdeploy_tasks.manifest.model import Manifest
from swiftdeploy_tasks.model import components
from swiftdeploy_tasks.model.spec import Spec, Written
from swiftdeploy_tasks.rollout import admission, policies
from swiftdeploy_tasks.rollout.admission import Part
from swiftdeploy_tasks.rollout.job import Job, write_specs
from swiftdeploy_tasks.session.events import Drifted
from swiftdeploy_tasks.session.run import Run


@dataclass
class OpaStart:
    """The OPA that this invocation started.

    `is_ours` where there was none before, `parts` its Spec as it was written, and `stays` where a release
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
    spec = components.opa(asked, run.settings.home)
    with policies.as_gate():
        engine.prepare((spec,), run.say)
    policies.declared_rules(run.settings, asked, engine, rules)
    seen = engine.observe()
    written = write_specs(job, seen)
    had, fault = seen.policy is not None, policies.fault(asked, engine, seen.policy, written)
    if had and fault:
        difference = {"target": "opa", "what": "the state", "found": fault}
        run.emit(Drifted(outcome="found", difference=difference))
    run.invocation.at_end.callback(end_opa, run, engine)
    run.invocation.shared(OpaStart).is_ours = not had
    if fault:
        start_opa(run, engine, spec, written)

    def runs() -> bool:
        return not policies.fault(asked, engine, engine.observe().policy, written)

    try:
        wait_ready(url, rules.revision, is_starting=runs if fault else lambda: False)
    except GateUnavailable as error:
        if fault:
            raise GateUnavailable(error.message, error.next, log=engine.logs(components.OPA)) from None
        run.say("OPA does not answer with the present policies: restarting it once")
        start_opa(run, engine, spec, written)
        wait_ready(url, rules.revision, is_starting=runs)


def start_opa(run: Run, engine: Engine, spec: Spec, written: Written) -> None:
    """Start OPA; isolation is asked about its Spec as soon as it answers."""
    own = (part for part in admission.spec_parts(written) if part[0] == components.OPA)
    run.invocation.shared(OpaStart).parts = frozenset(own)
    run.say("starting OPA")
    try:
        engine.start(spec, {})
    except EngineError as error:
        message = f"OPA does not start: {error.message}"
        raise GateUnavailable(message, error.next, log=error.log) from None


def end_opa(run: Run, engine: Engine) -> None:
    """Stop OPA where this invocation started it and no release serves."""
    start = run.invocation.shared(OpaStart)
    if start.is_ours and not start.stays:
        engine.stop(components.OPA)


def keep_opa(run: Run) -> None:
    """Keep the OPA that this invocation started: a release serves."""
    run.invocation.shared(OpaStart).stays = True

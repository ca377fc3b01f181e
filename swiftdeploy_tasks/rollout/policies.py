"""The project's policies: read, checked by the engine that answers, published for OPA."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path

from swiftdeploy_tasks.engines import port_check, registry
from swiftdeploy_tasks.engines.protocol import Engine
from swiftdeploy_tasks.errors import EngineError, GateUnavailable
from swiftdeploy_tasks.gate.bundle import Bundle, read_bundle, stale
from swiftdeploy_tasks.gate.declared_rules import Declared
from swiftdeploy_tasks.manifest.model import Manifest
from swiftdeploy_tasks.model import components
from swiftdeploy_tasks.model.spec import Written
from swiftdeploy_tasks.model.state import PolicyServer
from swiftdeploy_tasks.proxy.probe import HOST
from swiftdeploy_tasks.settings import Settings
from swiftdeploy_tasks.system.remembered import remembered

# Part of the key under which a check of the policies is remembered: another number for another form.
REMEMBERED_AS = "policies 3"


DOMAINS = ("infrastructure", "isolation", "canary")


def is_server(manifest: Manifest, engine: Engine) -> bool:
    """Return whether an OPA server answers."""
    gate = registry.default_gate(engine.name) if manifest.gate == "auto" else manifest.gate
    return gate == "server"


def bundle(settings: Settings, manifest: Manifest) -> Bundle:
    """Return the policies in force for this manifest: the files and the limits, under one revision."""
    return read_bundle(settings.policies, manifest.policy, required=DOMAINS)


def declared_rules(settings: Settings, manifest: Manifest, engine: Engine, rules: Bundle) -> Declared:
    """Return the rules of each domain, after the engine that answers compiled the policies.

    The result is remembered for this engine and revision. Raises GateUnavailable where a policy does not
    compile, or a domain does not refuse an empty input.
    """
    made_of = policies_made_of(manifest, engine, rules)

    def judge() -> str:
        return json.dumps(_judged(manifest, engine, rules), sort_keys=True)

    # What is remembered may be damaged.
    with suppress(ValueError, AttributeError):
        return _rules_in(remembered(settings.checked, made_of, judge))
    return _rules_in(judge())


def _rules_in(said: str) -> Declared:
    return {domain: tuple(names) for domain, names in json.loads(said).items()}


def policies_made_of(manifest: Manifest, engine: Engine, rules: Bundle) -> list[str]:
    """Return what a check of the policies depends on; raises GateUnavailable where no engine can make it."""
    if is_server(manifest, engine):
        with as_gate():
            judge = engine.identity(components.opa(manifest, ""))
        if not judge:
            raise GateUnavailable(f"{manifest.opa.image} is not here", "invoke deploy")
    else:
        judge = f"regopy {version('regopy')}"
    return [REMEMBERED_AS, rules.revision, *DOMAINS, judge]


def _judged(manifest: Manifest, engine: Engine, rules: Bundle) -> Declared:
    if is_server(manifest, engine):
        from swiftdeploy_tasks.gate import opa_check

        with as_gate():
            ran = engine.run(components.opa(manifest, ""), opa_check.files(rules), opa_check.words(rules))
        return opa_check.read(rules, ran.output, required=DOMAINS)
    from swiftdeploy_tasks.gate.embedded import check_bundle

    return check_bundle(rules, required=DOMAINS)


def rules_of(rules: Bundle, domain: str) -> tuple[str, ...]:
    """Return the names of the domain's rules, as its limits name them."""
    return tuple(name for name in sorted(rules.limits(domain)) if name != WINDOW)


def publish(settings: Settings, rules: Bundle) -> None:
    """Put the bundle where OPA reads it, and keep a copy by its revision."""
    from swiftdeploy_tasks.gate.bundle import keep
    from swiftdeploy_tasks.gate.bundle import publish as put

    put(rules, settings.bundle)
    keep(rules, _kept(settings))


def unpublished(settings: Settings, rules: Bundle) -> str:
    """Return in what the bundle that OPA reads is not this one, "" when it is."""
    for path in stale(rules, settings.bundle):
        return f"{path.relative_to(settings.state)} is not one of the policies"
    for name, content in rules.files().items():
        path = settings.bundle / name
        try:
            there = path.read_bytes()
        except OSError:
            return f"{settings.bundle.name}/{name} is missing"
        if there != content:
            return f"{settings.bundle.name}/{name} differs from policies/ and manifest.yaml"
    return ""


def opa_url(port: int) -> str:
    """Return the address of the OPA server on this port."""
    return f"http://{HOST}:{port}"


def other_revision(rules: Bundle, manifest: Manifest, engine: Engine) -> str:
    """Return what our OPA server says instead of this revision, "" when it has it in force.

    One that runs and is late is waited for: that is no drift.
    """
    from swiftdeploy_tasks.gate.opa_server import wait_ready

    try:
        wait_ready(
            opa_url(manifest.opa.port),
            rules.revision,
            deadline=LOOK_SECONDS,
            is_starting=lambda: not doubt(manifest, engine),
        )
    except GateUnavailable as error:
        return error.message
    return ""


def fault(manifest: Manifest, engine: Engine, there: PolicyServer | None, written: Written) -> str:
    """Return why OPA has to be restarted, "" when the one that was observed runs as it is `written`."""
    if there is None:
        return "OPA does not run"
    if not there.live:
        return f"it {there.trouble}"
    if there.spec != written.digests[components.OPA]:
        return "its port, image or Spec changed"
    if found := engine.differences(written).get(components.OPA):
        return "; ".join(map(str, found))
    listens = (HOST, manifest.opa.port) in there.addresses
    return "" if listens else f"it does not listen on {HOST}:{manifest.opa.port}"


def doubt(manifest: Manifest, engine: Engine) -> str:
    """Return why what answers on OPA's port is not the OPA of this project, "" when it is."""
    there, at = engine.observe().policy, (HOST, manifest.opa.port)
    if there and there.live and at in there.addresses:
        return ""
    what = "does not listen" if there and there.live else "does not run"
    holder = port_check.process_on(at[1])
    held = f"; the port is held by {holder}" if holder else ""
    return f"the OPA of this project {what} on {HOST}:{at[1]}{held}"


def refuse_doubt(manifest: Manifest, engine: Engine) -> None:
    """Raise GateUnavailable where something else than the OPA of this project answers on its port."""
    with as_gate():
        why = doubt(manifest, engine)
    if why:
        raise GateUnavailable(why, "invoke deploy")


def _kept(settings: Settings) -> Path:
    return settings.state / "policies"


LOOK_SECONDS = 3.0


# A limit of the canary policy that is no rule: how long its window is.
WINDOW = "window"


@contextmanager
def as_gate() -> Iterator[None]:
    """Turn an EngineError into GateUnavailable."""
    try:
        yield
    except EngineError as error:
        raise GateUnavailable(error.message, error.next) from None

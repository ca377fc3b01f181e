"""Pre-flight checks. Every check runs; one failure does not hide another.

A check of the same bytes by the same nginx or Rego engine is not repeated: see `system.remembered`.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

from swiftdeploy_tasks.engines.protocol import Engine
from swiftdeploy_tasks.errors import EngineError, GateUnavailable, PreflightError
from swiftdeploy_tasks.manifest.model import Manifest
from swiftdeploy_tasks.model import components
from swiftdeploy_tasks.model.finding import NAMES, Finding
from swiftdeploy_tasks.model.spec import Spec
from swiftdeploy_tasks.model.state import Traffic
from swiftdeploy_tasks.proxy import configuration, nginx_check, root_files
from swiftdeploy_tasks.proxy.sizing import files_needed
from swiftdeploy_tasks.rollout import policies
from swiftdeploy_tasks.settings import Settings
from swiftdeploy_tasks.system import environ, redaction
from swiftdeploy_tasks.system.remembered import knows, remembered

RESERVED = ("MODE", "APP_VERSION", "APP_PORT")
_PASSED = {"manifest": "manifest.yaml is YAML", "fields": "every key and value fits the schema"}


def with_the_rest(found: tuple[Finding, ...], why: str) -> tuple[Finding, ...]:
    """Return these findings, those of the checks that came before them, and the rest as not made."""
    reached = min(NAMES.index(finding.name) for finding in found)
    before = [Finding(name, True, _PASSED[name]) for name in NAMES[:reached]]
    rest = [Finding(name, None, f"not checked: {why}") for name in NAMES[reached + 1 :]]
    return (*before, *found, *rest)


def all_of(
    settings: Settings, manifest: Manifest, engine: Engine, *, needs_secrets: bool = True
) -> tuple[Finding, ...]:
    """Make every check; the findings are in the order of NAMES.

    Without `needs_secrets` they are not checked: the running slot has them.
    """
    _begin_policies(settings, manifest, engine)
    own = engine.check(manifest, with_opa=policies.is_server(manifest, engine))
    is_reached = not any(finding.name == "engine" and finding.passed is False for finding in own)
    made = [
        Finding("manifest", True, _PASSED["manifest"]),
        _fields(settings, manifest, [finding for finding in own if finding.name == "fields"]),
        *(finding for finding in own if finding.name != "fields"),
        _secrets(manifest, needed=needs_secrets) or _variables(manifest),
    ]
    if not is_reached:
        made = [finding for finding in made if finding.name not in {"image", "port", "compose"}]
        made += [
            Finding(n, None, "not checked: the engine check failed")
            for n in ("image", "port", "nginx", "compose")
        ]
    else:
        made.append(nginx(settings, manifest, engine))
    made.append(_policies(settings, manifest, engine, is_reached=is_reached))
    return tuple(sorted(made, key=lambda finding: NAMES.index(finding.name)))


def _fields(settings: Settings, manifest: Manifest, unsupported: list[Finding]) -> Finding:
    """Check what the schema cannot: keys that the engine does not support, and files that are not ours."""
    problems = [(finding.message, finding.next) for finding in unsupported]
    try:
        root_files.refuse_foreign(manifest.rendered, root=settings.root, state=settings.state)
    except PreflightError as error:
        problems.append((error.message, error.next))
    if problems:
        return Finding("fields", False, "; ".join(message for message, _ in problems), problems[0][1])
    return Finding("fields", True, _PASSED["fields"])


def nginx(settings: Settings, manifest: Manifest, engine: Engine) -> Finding:
    """Let the real nginx read the candidate files, unless it read the same bytes before."""
    try:
        spec = components.nginx(manifest, settings.home)
        identity = engine.identity(spec)
        if not identity:
            return Finding(
                "nginx",
                None,
                f"not checked yet: {manifest.nginx.image} is missing; deploy pulls it and tests first",
            )
        facts = engine.facts(manifest)
        if facts.open_files is not None and facts.open_files < files_needed(manifest.nginx):
            return too_few_files(manifest, facts.open_files)
        rendered = configuration.render(
            manifest,
            facts.candidate,
            folders=settings.template_folders,
            addresses={},
            traffic=Traffic(),
            generation="candidate",
        )
        said = remembered(
            settings.checked,
            ["nginx", identity, *rendered.values()],
            lambda: _accepted(engine, spec, rendered),
        )
    except EngineError as error:
        return Finding("nginx", False, error.message, "correct manifest.yaml or templates/nginx.conf.j2")
    except PreflightError as error:
        return Finding("nginx", False, error.message, error.next)
    return Finding("nginx", True, f"{said} accepts the configuration")


def too_few_files(manifest: Manifest, found: int) -> Finding:
    """Return the failed check for a limit of open files that is too low."""
    wanted, needed = manifest.nginx.connections, files_needed(manifest.nginx)
    message = (
        f"nginx.connections is {wanted}, for which nginx opens {needed} files, and this user may open "
        f"{found} (ulimit -Hn)"
    )
    most = max(1, found - needed + wanted)
    return Finding("nginx", False, message, f"raise the limit, or set nginx.connections: {most}")


def _accepted(engine: Engine, spec: Spec, rendered: Mapping[str, str]) -> str:
    """Return which nginx accepts these files; raises ProxyError or PreflightError."""
    ran = engine.run(spec, {name: text.encode() for name, text in rendered.items()}, nginx_check.WORDS)
    return nginx_check.accepted_by(ran.code, ran.output, ran.program)


def _variables(manifest: Manifest) -> Finding:
    return Finding("env", True, f"{len(RESERVED) + len(manifest.services.env)} variables reach the app")


def _secrets(manifest: Manifest, *, needed: bool) -> Finding | None:
    """Check that secrets are set and can be masked; None where they are."""
    if not needed:
        return None
    secrets = {variable.name: variable.from_env for variable in manifest.services.env if variable.from_env}
    if unset := [source for source in secrets.values() if environ.of_caller(source) is None]:
        return Finding(
            "env",
            False,
            f"services.env takes a secret from {', '.join(unset)}, which is not set",
            f"export {unset[0]}=…",
        )
    if short := [
        (variable.name, source)
        for variable in manifest.services.env
        if (source := variable.from_env)
        and not variable.short
        and redaction.is_short(environ.of_caller(source) or "")
    ]:
        name, source = short[0]
        return Finding(
            "env",
            False,
            f"services.env takes a secret from {', '.join(source for _, source in short)}, which has fewer "
            f"than {redaction.SHORTEST} characters and cannot be masked",
            f"give {source} a longer value, or set services.env.{name}: {{from_env: {source}, short: true}}",
        )
    return None


def _begin_policies(settings: Settings, manifest: Manifest, engine: Engine) -> None:
    """Start compiling the policies while the other checks are made; faults are reported later."""
    with suppress(GateUnavailable):
        rules = policies.bundle(settings, manifest)
        if not policies.is_server(manifest, engine) and not knows(
            settings.checked, policies.policies_made_of(manifest, engine, rules)
        ):
            from swiftdeploy_tasks.gate.embedded import warm

            warm(rules)


def _policies(settings: Settings, manifest: Manifest, engine: Engine, *, is_reached: bool) -> Finding:
    """Check that the engine that answers compiles the policies and refuses an empty input."""
    try:
        rules = policies.bundle(settings, manifest)
        if policies.is_server(manifest, engine):
            if not is_reached:
                return Finding("policies", None, "not checked: the engine check failed")
            if not engine.identity(components.opa(manifest, settings.home)):
                message = (
                    f"not checked yet: {manifest.opa.image} is missing; deploy pulls it and checks first"
                )
                return Finding("policies", None, message)
        found = policies.declared_rules(settings, manifest, engine, rules)
    except (EngineError, GateUnavailable) as error:
        return Finding(
            "policies", False, error.message, error.next or "correct the policy, then: invoke validate"
        )
    more = sorted(found.keys() - set(policies.DOMAINS))
    unasked = f"; no verb asks {', '.join(more)}" if more else ""
    said = f"{len(found)} domains load and refuse an empty input{unasked} (revision {rules.revision})"
    return Finding("policies", True, said)

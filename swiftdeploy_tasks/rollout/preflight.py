"""Pre-flight checks. Every check runs; one failure does not hide another.

A check of the same bytes by the same nginx or Rego engine is not repeated: see `system.remembered`.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Container
from contextlib import suppress

from swiftdeploy_tasks.engines.protocol import Engine
from swiftdeploy_tasks.errors import EngineError, GateUnavailable, PreflightError, ProxyError
from swiftdeploy_tasks.manifest.model import Manifest
from swiftdeploy_tasks.model.finding import NAMES, Finding
from swiftdeploy_tasks.model.state import Traffic
from swiftdeploy_tasks.proxy import artifacts, root_files
from swiftdeploy_tasks.rollout import policies
from swiftdeploy_tasks.settings import Settings
from swiftdeploy_tasks.system import environ, redaction
from swiftdeploy_tasks.system.remembered import knows, remembered

RESERVED = ("MODE", "APP_VERSION", "APP_PORT")
_UNPRIVILEGED, _ABOVE_PRIVILEGED, _TRIED = 1024, 8080, 1000
_PASSED = {"manifest": "manifest.yaml is YAML", "fields": "every key and value fits the schema"}


def with_the_rest(found: tuple[Finding, ...], why: str) -> tuple[Finding, ...]:
    """Return these findings, those of the checks that came before them, and the rest as not made."""
    reached = min(NAMES.index(finding.name) for finding in found)
    before = [Finding(name, True, _PASSED[name]) for name in NAMES[:reached]]
    rest = [Finding(name, None, f"not made: {why}") for name in NAMES[reached + 1 :]]
    return (*before, *found, *rest)


def all_of(
    settings: Settings, manifest: Manifest, engine: Engine, *, needs_secrets: bool = True
) -> tuple[Finding, ...]:
    """Make every check; the findings are in the order of NAMES.

    Without `needs_secrets` they are not checked: the running slot has them.
    """
    _begin_policies(settings, manifest, engine)
    own = engine.check(manifest)
    is_reached = not any(finding.name == "engine" and finding.passed is False for finding in own)
    made = [
        Finding("manifest", True, _PASSED["manifest"]),
        _fields(settings, manifest),
        *own,
        _secrets(manifest, needed=needs_secrets) or _environment(settings, manifest, engine),
    ]
    if not is_reached:
        made = [finding for finding in made if finding.name not in {"image", "compose"}]
        made += [
            Finding(n, None, "not made: the engine check failed")
            for n in ("image", "port", "nginx", "compose")
        ]
    else:
        made += [_ports(manifest, engine), nginx(settings, manifest, engine)]
    made.append(_policies(settings, manifest, engine, is_reached=is_reached))
    return tuple(sorted(made, key=lambda finding: NAMES.index(finding.name)))


def _fields(settings: Settings, manifest: Manifest) -> Finding:
    """Check `rendered`, which the schema cannot: its folder holds no file that we did not make."""
    try:
        root_files.refuse_foreign(manifest.rendered, root=settings.root, state=settings.state)
    except PreflightError as error:
        return Finding("fields", False, error.message, error.next)
    return Finding("fields", True, _PASSED["fields"])


def _ports(manifest: Manifest, engine: Engine) -> Finding:
    wanted = {
        "public": ("nginx.port", manifest.nginx.port),
        "operator": ("nginx.operator_port", manifest.nginx.operator_port),
    }
    if policies.is_server(manifest, engine.gate):
        wanted["OPA"] = ("opa.port", manifest.opa.port)
    ours = engine.held_ports()
    taken = [
        (f"{what} port {port}: {why}", key, port)
        for what, (key, port) in wanted.items()
        if port not in ours and (why := _held(port, engine))
    ]
    if taken:
        used = {port for _, port in wanted.values()} | ours
        free: dict[str, int] = {}
        for _, key, port in taken:
            if found := _free(used | set(free.values()), port, engine):
                free[key] = found
        instead = ", ".join(f"{key}: {port}" for key, port in free.items())
        return Finding(
            "port",
            False,
            "; ".join(words for words, _, _ in taken),
            f"end what holds it, or set {instead or 'another port'} in manifest.yaml",
        )
    told = ", ".join(
        f"{what} {port}{' (ours)' if port in ours else ''}" for what, (_, port) in wanted.items()
    )
    return Finding("port", True, f"free or our own: {told}")


def _free(used: Container[int], near: int, engine: Engine) -> int:
    """Return the next port above `near` that can be listened on, 0 where none of the next is free."""
    first = near + 1 if near >= _UNPRIVILEGED else _ABOVE_PRIVILEGED
    ports = range(first, min(first + _TRIED, 65536))
    return next((port for port in ports if port not in used and not _held(port, engine)), 0)


def _held(port: int, engine: Engine) -> str:
    """Return why the port cannot be listened on, by IPv4 or IPv6, "" when it can."""
    for family, address in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):  # noqa: S104  (only tried)
        try:
            with socket.socket(family) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                probe.bind((address, port))
        except PermissionError:
            return "only root may listen below 1024 here"
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return f"held by {engine.holder(port) or _holder(port)}"
    return ""


def _holder(port: int) -> str:
    import psutil

    try:
        for connection in psutil.net_connections("tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr[1:] == (port,) and connection.pid:
                return f"{psutil.Process(connection.pid).name()} (pid {connection.pid})"
    except psutil.Error:
        pass
    return "another process"


def nginx(settings: Settings, manifest: Manifest, engine: Engine) -> Finding:
    """Let the real nginx read the candidate files, unless it read the same bytes before."""
    try:
        identity = engine.nginx_identity(manifest)
        if not identity:
            return Finding(
                "nginx",
                None,
                f"not made yet: {manifest.nginx.image} is not here; deploy pulls it and tests first",
            )
        rendered = artifacts.render_nginx(
            manifest,
            engine.candidate_site(manifest),
            folders=settings.template_folders,
            addresses={},
            traffic=Traffic(),
            generation="candidate",
        )
        said = remembered(
            settings.checked,
            ["nginx", identity, *rendered.values()],
            lambda: engine.test_nginx(manifest, rendered),
        )
    except ProxyError as error:
        return Finding("nginx", False, error.message, "correct manifest.yaml or templates/nginx.conf.j2")
    except PreflightError as error:
        return Finding("nginx", False, error.message, error.next)
    return Finding("nginx", True, f"{said} accepts the configuration")


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


def _environment(settings: Settings, manifest: Manifest, engine: Engine) -> Finding:
    """Check that what the app gets is in the rendered container."""
    try:
        rendered = artifacts.render_root(
            manifest,
            folders=settings.template_folders,
            review=engine.review(manifest),
            with_opa=policies.is_server(manifest, engine.gate),
        )
    except PreflightError as error:
        return Finding("env", False, error.message, error.next)
    service = artifacts.parse_compose(rendered["docker-compose.yml"])["services"]["app-blue"]
    reaches = service.get("environment") or {}
    wanted = [*RESERVED, *(variable.name for variable in manifest.services.env)]
    if missing := [name for name in wanted if name not in reaches]:
        return Finding(
            "env",
            False,
            f"{', '.join(missing)} would not reach the container",
            "restore templates/docker-compose.yml.j2",
        )
    return Finding("env", True, f"{len(wanted)} variables reach the app")


def _begin_policies(settings: Settings, manifest: Manifest, engine: Engine) -> None:
    """Start compiling the policies while the other checks are made; faults are reported later."""
    with suppress(GateUnavailable):
        rules = policies.bundle(settings, manifest)
        if not policies.is_server(manifest, engine.gate) and not knows(
            settings.checked, policies.policies_made_of(manifest, engine, rules)
        ):
            from swiftdeploy_tasks.gate.embedded import warm

            warm(rules)


def _policies(settings: Settings, manifest: Manifest, engine: Engine, *, is_reached: bool) -> Finding:
    """Check that the engine that answers compiles the policies and refuses an empty input."""
    try:
        rules = policies.bundle(settings, manifest)
        if policies.is_server(manifest, engine.gate):
            if not is_reached:
                return Finding("policies", None, "not made: the engine check failed")
            if not engine.opa_identity(manifest):
                message = f"not made yet: {manifest.opa.image} is not here; deploy pulls it and checks first"
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

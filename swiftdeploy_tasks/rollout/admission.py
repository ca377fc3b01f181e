"""The questions to the gate: their input, and which engine answers them.

Python decides nothing: the policies do.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from swiftdeploy_tasks.engines.protocol import Engine
from swiftdeploy_tasks.errors import PolicyRefused
from swiftdeploy_tasks.gate.bundle import Bundle
from swiftdeploy_tasks.manifest.model import Manifest
from swiftdeploy_tasks.model.release import Release
from swiftdeploy_tasks.model.spec import Written
from swiftdeploy_tasks.model.verdict import Question, Verdict
from swiftdeploy_tasks.rollout.canary import Figures
from swiftdeploy_tasks.rollout.policies import declared_rules, is_server, opa_url, refuse_doubt
from swiftdeploy_tasks.settings import Settings

# The name of one part of a rendered file, and its content as JSON.
Part = tuple[str, str]
ANSWER_SECONDS = 4.5


_LISTEN = re.compile(r"(?:^|[{;])\s*listen\s+([^\s;]+)", re.MULTILINE)
_NAMES = re.compile(r"(?:^|[{;])\s*server_name\s+(?!_;)([^;]+);", re.MULTILINE)
_ALLOWED = re.compile(r"geo \$sd_operator \{([^}]*)\}")


def about_host(engine: str, host: Mapping[str, Any]) -> Question:
    """Ask whether this host is fit."""
    return Question("infrastructure", {"engine": engine, "host": dict(host)})


def about_isolation(
    engine: str, manifest: Manifest, *, written: Written, nginx: str, home: str = ""
) -> Question:
    """Ask whether what would be applied keeps its components apart.

    `nginx` is the text of all its files. `home` is where mounts may come from; with none, no mount is
    allowed.
    """
    asked = {
        "engine": engine,
        "home": home,
        "specs": dict(written.documents),
        "beyond": list(written.beyond),
        "nginx": _nginx_facts(nginx, manifest.nginx.operator_port),
    }
    return Question("isolation", asked)


def _nginx_facts(nginx: str, operator_port: int) -> dict[str, Any]:
    listens = [_listen(words, operator_port) for words in re.findall(_LISTEN, nginx)]
    allowed = re.findall(_ALLOWED, nginx)
    return {
        "listen": [{"address": a, "port": p, "role": r} for a, p, r in sorted(set(listens))],
        "operator_hosts": sorted({name for names in re.findall(_NAMES, nginx) for name in names.split()}),
        "operator_allow": sorted({one for block in allowed for one in re.findall(r"(\S+) 1;", block)})
        if allowed
        else ["unknown"],
    }


def spec_parts(written: Written) -> frozenset[Part]:
    """Return the parts of written Specs that the isolation policy judges."""
    parts = {**written.documents, "networks and volumes": list(written.beyond)}
    return frozenset((name, json.dumps(own, sort_keys=True, default=str)) for name, own in parts.items())


def nginx_parts(nginx: str, operator_port: int) -> frozenset[Part]:
    """Return the parts of nginx's files that the isolation policy judges."""
    facts = _nginx_facts(nginx, operator_port)
    return frozenset((f"nginx's {name}", json.dumps(own, sort_keys=True)) for name, own in facts.items())


def refuse_unasked(parts: frozenset[Part], asked: frozenset[Part] | None) -> None:
    """Raise PolicyRefused for a part that the isolation policy was not asked about; None allows all parts."""
    if asked is None or parts <= asked:
        return
    names = ", ".join(sorted({name for name, _ in parts - asked}))
    raise PolicyRefused(
        f"templates/ now render {names} differently from what isolation was asked about; not applied",
        "invoke policy-check",
    )


def _listen(words: str, operator_port: int) -> tuple[str, int, str]:
    """Return (address, port, role) of a listen directive; a socket's file has the port 0."""
    address, _, port = words.rpartition(":")
    number = int(port) if port.isdigit() else 0
    return address or "*", number, "operator" if number == operator_port else "public"


@dataclass(frozen=True)
class Change:
    """A change of the serving release, as input of the canary policy."""

    operation: str
    current: Release
    target: Release


def about_canary(
    change: Change, manifest: Manifest, phase: str, figures: Figures, *, healthy: bool
) -> Question:
    """Ask whether what serves (phase before) or the new slot (watch, step_end) is well enough to go on."""
    sides = {
        side: {"mode": release.mode, "version": release.version}
        for side, release in (("current", change.current), ("target", change.target))
    }
    return Question(
        "canary",
        {
            "operation": change.operation,
            "phase": phase,
            "subject": "current" if phase == "before" else "new",
            **sides,
            "metrics": "none" if manifest.services.metrics is None else "declared",
            "healthy": healthy,
            "window": figures.window.document() if figures.window else None,
            "clients": figures.clients.document() if figures.clients else None,
            "beside": figures.beside.document() if figures.beside else None,
            "silent": figures.silent,
            "unreadable": figures.unreadable,
            **({"reason": figures.problem} if figures.problem else {}),
            "rollout": {"min_requests": manifest.rollout.min_requests},
            **({"evidence": figures.evidence} if figures.evidence else {}),
        },
    )


def ask(
    question: Question,
    rules: Bundle,
    *,
    settings: Settings,
    manifest: Manifest,
    engine: Engine,
    timeout: float = ANSWER_SECONDS,
) -> Verdict:
    """Put the question to the OPA server, or to the embedded engine; raises GateUnavailable.

    The engine that answers has compiled the policies before. The server has `timeout` seconds, and its answer
    counts only if it is the one that we started, both before the answer and after it.
    """
    known = declared_rules(settings, manifest, engine, rules)
    if not is_server(manifest, engine):
        from swiftdeploy_tasks.gate.embedded import ask_embedded

        return ask_embedded(question, rules)
    from swiftdeploy_tasks.gate.opa_server import ask_server

    refuse_doubt(manifest, engine)
    verdict = ask_server(
        question,
        url=opa_url(manifest.opa.port),
        revision=rules.revision,
        rules=known.get(question.domain, ()),
        timeout=timeout,
    )
    refuse_doubt(manifest, engine)
    return verdict

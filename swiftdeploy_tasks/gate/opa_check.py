"""OPA's check of a bundle: the arguments of `opa eval --strict`, and its output.

The engine runs it: the binary on local, the image without network on docker.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from swiftdeploy_tasks.errors import GateUnavailable
from swiftdeploy_tasks.gate.bundle import PACKAGE, Bundle
from swiftdeploy_tasks.gate.decision import NEXT, first_of, short
from swiftdeploy_tasks.gate.declared_rules import Answer, Declared, rules_by_domain

INPUT = "input.json"


def files(bundle: Bundle) -> dict[str, bytes]:
    """Return the bundle's files and the empty input, by name."""
    return {**bundle.files(), INPUT: b"{}"}


def words(bundle: Bundle) -> list[str]:
    """Return the arguments of `opa`, to be run in a folder that holds `files`."""
    return ["eval", "--strict", "--bundle", ".", "--format", "json", "--input", INPUT, _query(bundle)]


def _query(bundle: Bundle) -> str:
    """Each domain's decision and rules, in comprehensions: an undefined one is then an empty array."""
    asked = ", ".join(
        f'{json.dumps(domain)}: {{"decision": [x | x := {path}.decision], "rules": [x | x := {path}.rules]}}'
        for domain in bundle.domains
        for path in [f"data.{PACKAGE}[{json.dumps(domain)}]"]
    )
    return f"{{{asked}}}"


def read(bundle: Bundle, answer: str, *, required: Iterable[str]) -> Declared:
    """Return the rules of every domain, from what `opa eval` printed.

    Raises GateUnavailable with OPA's own words when it refuses the policies.
    """
    try:
        document = json.loads(answer)
        if errors := document.get("errors"):
            raise GateUnavailable(f"OPA refuses the policies: {first_of([*map(_sentence, errors)])}", NEXT)
        (value,) = (one["value"] for one in document["result"][0]["expressions"])
        answers = {
            domain: Answer(*(next(iter(said[name]), None) for name in ("decision", "rules")))
            for domain, said in value.items()
        }
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        raise GateUnavailable(f"opa eval printed {short(answer)} instead of its answer", NEXT) from None
    return rules_by_domain(bundle, answers, required=required, answered_by="opa")


def _sentence(error: dict[str, Any]) -> str:
    """OPA's message on one line, after its file and line, and without the excerpt of the source."""
    message = " ".join(str(error["message"]).split())
    place = error.get("location") or {}
    file = str(place.get("file", "")).removeprefix("./")
    return f"{file}:{place.get('row')}: {message}" if file else message.removeprefix("loading error: ")

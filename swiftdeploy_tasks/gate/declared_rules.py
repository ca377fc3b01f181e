"""The rules that each domain of a bundle declares.

A domain lists them in `rules`, or its answer to an empty input has one check for each. The engine that will
answer is asked, which also proves that the policies compile there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from swiftdeploy_tasks.errors import GateUnavailable
from swiftdeploy_tasks.gate.bundle import PACKAGE, Bundle
from swiftdeploy_tasks.gate.decision import NEXT, believe, short

Declared = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Answer:
    """What a domain says about an empty input: its decision and its `rules`, each None where undefined."""

    decision: object
    rules: object


def rules_by_domain(
    bundle: Bundle, answers: Mapping[str, Answer], *, required: Iterable[str], answered_by: str
) -> Declared:
    """Return the rules of every domain of the bundle.

    Raises GateUnavailable when a required domain is not there, or a domain does not decide or refuse.
    """
    found = {}
    for domain in sorted({*bundle.domains, *required}):
        if domain not in bundle.domains:
            raise GateUnavailable(f"no policy defines the domain {domain}", f"restore policies/{domain}.rego")
        answer = answers.get(domain, Answer(None, None))
        try:
            found[domain] = rules_of(domain, answer, revision=bundle.revision, answered_by=answered_by)
        except GateUnavailable as error:
            raise _in_its_file(error, bundle, domain) from None
    return found


def _in_its_file(error: GateUnavailable, bundle: Bundle, domain: str) -> GateUnavailable:
    """Return the error with the files of the domain and the page that documents their shape."""
    if error.next != NEXT:
        return error
    files = [name for name, found in bundle.plain if found.package == (PACKAGE, domain)]
    named = ", ".join(files)
    return GateUnavailable(
        f"{error.message} (package {PACKAGE}.{domain} in {named})",
        f"give {files[0]} a `decision` of the shape in docs/policies.md, then `invoke validate`",
    )


def rules_of(domain: str, answer: Answer, *, revision: str, answered_by: str) -> tuple[str, ...]:
    """Return the rules that the domain declares; raises GateUnavailable unless it refuses an empty input."""
    listed = None if answer.rules is None else _listed(domain, answer.rules)
    verdict = believe(
        answer.decision, domain=domain, rules=listed, revision=revision, answered_by=answered_by
    )
    if verdict.allow:
        raise GateUnavailable(
            f"the policies of {domain} allow an empty input, so they would let anything pass",
            f"correct policies/{domain}.rego, then `invoke validate`",
        )
    return tuple(sorted(check.rule for check in verdict.checks))


def _listed(domain: str, rules: object) -> tuple[str, ...]:
    if not isinstance(rules, list) or not all(isinstance(rule, str) and rule for rule in rules):
        raise GateUnavailable(
            f"`rules` of {domain} is {short(rules)}, and a list of the names of its rules is wanted", NEXT
        )
    return tuple(rules)

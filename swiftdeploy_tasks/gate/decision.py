"""Validates an answer of either engine and turns it into a Verdict.

An answer that is not a clear decision raises GateUnavailable; it is never repaired.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from swiftdeploy_tasks.errors import GateUnavailable
from swiftdeploy_tasks.model.verdict import ROLLBACK, WORDS, Check, Verdict, Word

NEXT = "invoke validate"
_SHOWN = 3
_FIELDS = {"rule", "passed", "observed", "limit", "message"}
_EVIDENCE = "evidence"


def believe(
    decision: object,
    *,
    domain: str,
    rules: Collection[str] | None,
    revision: str,
    answered_by: str,
    duration_ms: float = 0.0,
    is_rollback: bool = False,
) -> Verdict:
    """Return the verdict that `decision`, a domain's decision as JSON values, clearly is.

    Raises GateUnavailable when it is undefined (None), has no usable limits, has no well-formed check, has
    other checks than one for each of the domain's `rules`, or contradicts itself. For a rollback one
    check named `rollback` is enough. `rules` is None only where they are learned from this answer.
    """
    if decision is None:
        raise _doubt(domain, "is not defined: the policies do not decide it")
    if not isinstance(decision, Mapping):
        raise _doubt(domain, f"was answered with {short(decision)} instead of an object")
    if "unusable_limits" in decision:
        raise _no_limits(domain, decision["unusable_limits"])
    allow = decision.get("allow")
    if not isinstance(allow, bool):
        raise _doubt(domain, f"was answered without a clear allow: {short(allow)}")
    checks = _checks(domain, decision.get("checks"))
    if rules is not None and not (is_rollback and [check.rule for check in checks] == [ROLLBACK]):
        _compare(domain, {check.rule for check in checks}, set(rules))
    passed = all(check.passed for check in checks)
    if allow and not passed:
        failed = ", ".join(check.rule for check in checks if not check.passed)
        raise _doubt(domain, f"was allowed although a check failed: {failed}")
    if passed and not allow:
        raise _doubt(domain, "was refused although no check failed")
    word = _word(domain, decision.get("verdict"), allow=allow)
    return Verdict(domain, allow, checks, revision, answered_by, duration_ms, word == "undecided")


def _checks(domain: str, raw: object) -> tuple[Check, ...]:
    if raw is None:
        raise _doubt(domain, "was answered without checks")
    if not isinstance(raw, list) or not raw:
        raise _doubt(domain, f"was answered with {short(raw)} instead of checks")
    checks = tuple(_check(domain, item) for item in raw)
    if len({check.rule for check in checks}) < len(checks):
        raise _doubt(domain, "was answered with two checks of one rule")
    return checks


def _compare(domain: str, answered: set[str], declared: set[str]) -> None:
    """Raise GateUnavailable unless exactly the declared rules were answered."""
    if missing := sorted(declared - answered):
        raise _doubt(domain, f"was answered without its rules {short(', '.join(missing))}")
    if more := sorted(answered - declared):
        raise _doubt(
            domain, f"was answered with rules that the policies do not declare: {short(', '.join(more))}"
        )


def _check(domain: str, raw: object) -> Check:
    if not isinstance(raw, Mapping) or set(raw) - {_EVIDENCE} != _FIELDS:
        raise _doubt(domain, f"was answered with {short(raw)} instead of a check")
    rule, passed, message = raw["rule"], raw["passed"], raw["message"]
    texts = isinstance(rule, str) and isinstance(message, str) and rule and message
    if not texts or not isinstance(passed, bool):
        raise _doubt(domain, f"was answered with an ill-formed check: {short(raw)}")
    evidence = raw.get(_EVIDENCE)
    if not isinstance(evidence, Mapping | None):
        raise _doubt(domain, f"was answered with {short(evidence)} as evidence")
    return Check(rule, passed, raw["observed"], raw["limit"], message, evidence)


def _word(domain: str, raw: object, *, allow: bool) -> Word:
    """Return the verdict in a word; policies that do not give it have two."""
    if raw is None:
        return "pass" if allow else "fail"
    for word in WORDS:
        if raw == word and (word == "fail") is not allow:
            return word
    raise _doubt(domain, f"was answered with allow {str(allow).lower()} and the verdict {short(raw)}")


def _no_limits(domain: str, rules: Any) -> GateUnavailable:
    named = ", ".join(map(str, rules)) if isinstance(rules, list) else short(rules)
    return GateUnavailable(
        f"the limits of {domain} are missing or not of their type: {named}",
        "correct policies/data.json, or `policy` in manifest.yaml, then `invoke validate`",
    )


def _doubt(domain: str, what: str) -> GateUnavailable:
    return GateUnavailable(f"the gate's domain {domain} {what}", NEXT)


def short(value: object) -> str:
    """One line of plain characters, cut at 80: what a stranger sent, safe to print."""
    text = ascii(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def first_of(sentences: Sequence[str]) -> str:
    """Return the first sentences on one line, and how many more there are."""
    more = len(sentences) - _SHOWN
    return "; ".join(sentences[:_SHOWN]) + (f" (and {more} more)" if more > 0 else "")

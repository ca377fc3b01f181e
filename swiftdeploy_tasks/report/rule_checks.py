"""Collects what each rule of the policies observed, in bounded memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from swiftdeploy_tasks.model.verdict import Check
from swiftdeploy_tasks.report import record_fields
from swiftdeploy_tasks.report.collectors import Buckets

MOST_RULES, MOST_OBSERVATIONS = 200, 200


class Observation(NamedTuple):
    """A figure that a rule observed; `passed` is None where the rule did not judge it."""

    at: float
    figure: float
    limit: float | None
    passed: bool | None


@dataclass(frozen=True)
class Rule:
    """A rule of the policies: how often it was checked and failed, its last check, its figures over time."""

    domain: str
    checked: int
    failed: int
    at: float
    last: Check
    observations: tuple[Observation, ...]


class RuleChecks:
    """Collects the checks of each rule."""

    def __init__(self) -> None:
        self._rules: dict[tuple[str, str], _Checks] = {}
        self.has_more = False

    def add(self, domain: str, check: Check, at: float) -> None:
        """Add a check; one without a name, or of a rule beyond MOST_RULES, is left out."""
        key = domain, check.rule
        if not check.rule:
            return
        if key not in self._rules and len(self._rules) >= MOST_RULES:
            self.has_more = True
            return
        self._rules.setdefault(key, _Checks(check, at)).add(check, at)

    def rules(self) -> tuple[Rule, ...]:
        """Return the rules by domain and name."""
        return tuple(self._rules[key].rule(key[0]) for key in sorted(self._rules))


class _Checks:
    """The checks of one rule."""

    def __init__(self, check: Check, at: float) -> None:
        self._checked = self._failed = 0
        self._at, self._last = at, check
        self._observations: Buckets[Observation] = Buckets(MOST_OBSERVATIONS, _worse)

    def add(self, check: Check, at: float) -> None:
        self._checked += 1
        self._failed += not check.passed
        self._at, self._last = at, check
        figure = record_fields.number(check.observed)
        if figure is not None:
            passed = check.passed if check.is_judged else None
            self._observations.add(Observation(at, figure, record_fields.number(check.limit), passed))

    def rule(self, domain: str) -> Rule:
        return Rule(domain, self._checked, self._failed, self._at, self._last, self._observations.values())


def _worse(earlier: Observation, later: Observation) -> Observation:
    """Return the observation that failed, else the later one."""
    return earlier if earlier.passed is False and later.passed is not False else later

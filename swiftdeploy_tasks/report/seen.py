"""The observed values of each rule, as far as the story keeps them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from swiftdeploy_tasks.model.verdict import Check
from swiftdeploy_tasks.report.density import Value
from swiftdeploy_tasks.report.fields import number
from swiftdeploy_tasks.report.story import Story

_Asked = tuple[float, object, object, bool | None]


@dataclass(frozen=True)
class Seen:
    """What one rule saw, as (unix seconds, observed, passed), and the limits that held.

    `passed` is None where it did not judge what it saw.
    `made` and `failed` count all that it was asked and said no to, also what is not kept or had no figure.
    """

    domain: str
    rule: str
    made: int
    failed: int
    observed: tuple[tuple[float, float, bool | None], ...]
    limits: tuple[Value, ...]


def seen(story: Story) -> list[Seen]:
    """Return what the rules saw in the verdicts and violations that the story keeps, by domain and rule."""
    found: dict[tuple[str, str], dict[_Asked, None]] = {}
    for domain, rule, asked in _all(story):
        found.setdefault((domain, rule), {}).setdefault(asked)
    counted = {(rule.domain, rule.last.rule): (rule.made, rule.failed) for rule in story.rules}
    return [
        Seen(
            domain,
            rule,
            *counted.get((domain, rule), (len(rows), sum(passed is False for *_, passed in rows))),
            tuple((at, value, ok) for at, what, _, ok in rows if (value := number(what)) is not None),
            tuple(_changed((at, number(limit)) for at, _, limit, _ in rows)),
        )
        for (domain, rule), rows in sorted((key, sorted(rows, key=_time)) for key, rows in found.items())
    ]


def _all(story: Story) -> Iterator[tuple[str, str, _Asked]]:
    for change in story.changes:
        for verdict in change.verdicts:
            for check in verdict.checks:
                yield verdict.domain, check.rule, _asked(verdict.at, check)
    for one in story.violations:
        if one.rule:
            yield one.domain, one.rule, (one.at, one.observed, one.limit, False)
    for rule in story.rules:
        yield rule.domain, rule.last.rule, _asked(rule.at, rule.last)


def _asked(at: float, check: Check) -> _Asked:
    return at, check.observed, check.limit, check.passed if check.is_judged else None


def _time(row: _Asked) -> float:
    return row[0]


def _changed(values: Iterable[Value]) -> Iterator[Value]:
    """Only the values that differ from the one before."""
    before: float | None = None
    for at, value in values:
        if value is not None and value != before:
            yield at, value
            before = value

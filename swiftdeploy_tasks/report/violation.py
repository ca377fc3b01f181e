"""The failed rules of a verdict, and questions without an answer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from swiftdeploy_tasks.model.verdict import Check
from swiftdeploy_tasks.report.recorded_verdict import RecordedVerdict


@dataclass(frozen=True)
class Violation:
    """A failed rule, or a question without an answer (`rule` is "" then)."""

    seq: int
    at: float
    verb: str
    domain: str
    phase: str
    rule: str
    observed: object
    limit: object
    revision: str
    message: str
    proven: bool


def violations(verdict: RecordedVerdict, *, verb: str, proven: bool) -> Iterator[Violation]:
    """Yield the violations of a verdict."""
    checks = verdict.checks
    if verdict.outcome == "unanswered":
        checks = (Check("", False, None, None, verdict.error),)
    for check in checks:
        if not check.passed:
            yield Violation(
                seq=verdict.seq,
                at=verdict.at,
                verb=verb,
                domain=verdict.domain,
                phase=verdict.phase,
                rule=check.rule,
                observed=check.observed,
                limit=check.limit,
                revision=verdict.revision,
                message=check.message,
                proven=proven,
            )

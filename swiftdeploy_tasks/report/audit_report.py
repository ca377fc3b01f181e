"""The content of an audit report.

Nothing here grows with the history: tables keep their newest rows and count the others, series are thinned.
Texts are as recorded, at most `record_fields.LONGEST` characters; each writer escapes them. Times are Unix
seconds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from swiftdeploy_tasks.report.collectors import Rows
from swiftdeploy_tasks.report.integrity import Integrity
from swiftdeploy_tasks.report.marks import Mark
from swiftdeploy_tasks.report.period import Period
from swiftdeploy_tasks.report.recorded_change import RecordedChange
from swiftdeploy_tasks.report.rule_checks import Rule
from swiftdeploy_tasks.report.series import Series
from swiftdeploy_tasks.report.summary import Summary
from swiftdeploy_tasks.report.violation import Violation

THREAT = (
    "Anyone who can write the whole state folder can rewrite all of this history unnoticed, unless a head of"
    " it was kept elsewhere."
)

Kind = Literal[
    "release",
    "mode",
    "rolled_back",
    "undone",
    "held",
    "teardown",
    "chaos",
    "chaos_gone",
    "drift",
    "refused",
    "failed",
    "interrupted",
    "cut_off",
    "recovered",
    "locked",
    "breach",
    "policy",
    "torn",
    "head_lost",
    "rotated",
    "witness",
    "clock",
    "moved",
]
"""What an event is about. `release` is a confirmation, `breach` a canary rule that dashboards saw broken or
kept again, `policy` a change of limits or policies, `undone` a way back after an interruption, `clock` a time
that went back, `moved` another state folder."""


@dataclass(frozen=True)
class TimelineEvent:
    """One row of the timeline: what happened, in one sentence, on the line of record `seq`.

    `proven` says that the record leads up to the head (`Verification.proven`), here and in `Violation`.
    """

    seq: int
    at: float
    kind: Kind
    what: str
    who: str
    proven: bool


@dataclass(frozen=True)
class AuditReport:
    """The content of an audit report.

    `marks` and `series` cover the whole period, tables its newest rows; `drawn` is the time of the charts,
    None where there is nothing to draw.
    """

    period: Period
    integrity: Integrity
    summary: Summary
    events: Rows[TimelineEvent] = field(default_factory=Rows)
    violations: Rows[Violation] = field(default_factory=Rows)
    changes: Rows[RecordedChange] = field(default_factory=Rows)
    rules: tuple[Rule, ...] = ()
    has_more_rules: bool = False
    series: tuple[Series, ...] = ()
    marks: tuple[Mark, ...] = ()
    drawn: Period | None = None

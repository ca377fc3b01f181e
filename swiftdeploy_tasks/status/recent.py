"""The newest events of the history, in the report's words.

Each look reads back to where the one before stopped.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from swiftdeploy_tasks.errors import HistoryError
from swiftdeploy_tasks.history.chain import Record
from swiftdeploy_tasks.history.verification import Verification
from swiftdeploy_tasks.report import record_fields
from swiftdeploy_tasks.report.audit_report import TimelineEvent
from swiftdeploy_tasks.report.builder import build_report
from swiftdeploy_tasks.report.evidence_series import evidence_of
from swiftdeploy_tasks.report.integrity import Integrity
from swiftdeploy_tasks.report.recorded_evidence import RecordedEvidence
from swiftdeploy_tasks.session.run import Run

SHOWN = 5
KEPT = 100
# How far back a first look goes: a dashboard that was left on wrote a record every few seconds.
RECORDS_BACK = 3000
_FIGURES = frozenset({"verdict", "step", "scrape"})
_UNJUDGED = Integrity(Verification(True, 0, None, ""))


@dataclass
class Recent:
    """The newest events of a project's history, read a little at a time.

    `told` is what the last scrapes said of drift and, by domain, of the rules: they say it when it changes.
    `evidence` is that of the last verdict, None where a verb began or ended since.
    """

    run: Run
    newest: str = ""
    kept: deque[Record] = field(default_factory=lambda: deque(maxlen=KEPT))
    told: dict[str, Any] = field(default_factory=dict)
    evidence: RecordedEvidence | None = None

    def events(self) -> tuple[TimelineEvent, ...]:
        """Return the last events, oldest first; none where the history cannot be read."""
        self.catch_up()
        return build_report(self.kept, _UNJUDGED).events.shown[-SHOWN:]

    def catch_up(self) -> None:
        """Read what was recorded since the last time, and is proven by the history's head."""
        new: list[Record] = []
        with suppress(HistoryError), closing(self.run.history.proven()) as newest:
            for record in islice(newest, RECORDS_BACK):
                if record["hash"] == self.newest:
                    break
                new.append(record)
        if new:
            self.newest = new[0]["hash"]
        for record in reversed(new):
            self._note(record)
            if _tells(record):
                self.kept.append(record)

    def _note(self, record: Record) -> None:
        if record["event"] == "drift" and record["outcome"] == "mended":
            self.told["drift"] = _still(record_fields.items(self.told.get("drift")), record.get("target"))
        if record["event"] == "verdict":
            at = record_fields.moment(record["time"])
            self.evidence = (None if at is None else evidence_of(record, at)) or self.evidence
        if record["event"] in {"started", "finished"} and record["task"] != "status":
            self.evidence = None
        if record["event"] == "scrape":
            self.told |= {"drift": record["drift"]} if "drift" in record else {}
            verdicts = map(record_fields.mapping, record_fields.items(record.get("verdicts")))
            self.told |= {record_fields.text(one.get("domain")): outcomes(one) for one in verdicts}


def outcomes(verdict: Mapping[str, Any]) -> list[tuple[object, object]]:
    """Return what each rule of a verdict's document said."""
    checks = map(record_fields.mapping, record_fields.items(verdict.get("checks")))
    return [(check.get("rule"), check.get("passed")) for check in checks]


def _still(drift: list[Any], mended: object) -> list[Any]:
    """Return what is left of the drift when one target was mended; with None all of it was."""
    return [one for one in drift if mended and record_fields.mapping(one).get("target") != mended]


def _tells(record: Record) -> bool:
    return record["event"] not in _FIGURES or "verdicts" in record

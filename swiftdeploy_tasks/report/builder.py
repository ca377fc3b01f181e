"""Builds an AuditReport from records in one pass and bounded memory.

Records that the head does not prove are marked.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable

from swiftdeploy_tasks.history.chain import Record
from swiftdeploy_tasks.history.verification import Verification
from swiftdeploy_tasks.report import formatting, record_fields, timeline
from swiftdeploy_tasks.report.audit_report import AuditReport, Kind, TimelineEvent
from swiftdeploy_tasks.report.collectors import Newest, Rows
from swiftdeploy_tasks.report.duplicates import Duplicates
from swiftdeploy_tasks.report.integrity import Integrity
from swiftdeploy_tasks.report.marks import Mark, Marks
from swiftdeploy_tasks.report.period import Period
from swiftdeploy_tasks.report.record_fields import dashboard_verdict_of, text_of, verdict_of
from swiftdeploy_tasks.report.recorded_change import KEPT, VERBS, Actor, RecordedChange
from swiftdeploy_tasks.report.recorded_run import RecordedRun
from swiftdeploy_tasks.report.recorded_verdict import RecordedVerdict
from swiftdeploy_tasks.report.rule_checks import RuleChecks
from swiftdeploy_tasks.report.series import SlotSeries
from swiftdeploy_tasks.report.summary import SummaryBuilder
from swiftdeploy_tasks.report.violation import Violation, violations

MOST_EVENTS, MOST_VIOLATIONS, MOST_CHANGES = 500, 300, 100
MOST_OPEN, MOST_VERDICTS = 128, 4
ALWAYS = Period()
# Events that a verb or a dashboard observed and did not cause.
_FOUND: frozenset[Kind] = frozenset({"chaos", "chaos_gone", "drift", "breach"})
_ENDS: dict[str, Kind] = {
    "refused": "refused",
    "unanswered": "refused",
    "failed": "failed",
    "held": "held",
    "error": "failed",
    "interrupted": "interrupted",
}
_MARKS = {
    "refused": "refusal",
    "rolled_back": "rolled back",
    "chaos": "chaos",
    "interrupted": "interruption",
    "cut_off": "interruption",
}


def build_report(records: Iterable[Record], integrity: Integrity, period: Period = ALWAYS) -> AuditReport:
    """Return the report of the period; `records` are all of the history, in the order of the file.

    Each has the fields that every record has (`chain`), and may hold anything else.
    """
    builder = ReportBuilder(period, integrity.verification)
    for record in records:
        builder.add(record)
    return builder.report(integrity)


class ReportBuilder:
    """Builds an AuditReport from records in one pass and bounded memory.

    `verification` says which records are proven; without it all are.
    """

    def __init__(self, period: Period = ALWAYS, verification: Verification | None = None) -> None:
        self._period, self._verification = period, verification
        self._events: Newest[TimelineEvent] = Newest(MOST_EVENTS)
        self._violations: Newest[Violation] = Newest(MOST_VIOLATIONS)
        self._changes: Newest[RecordedChange] = Newest(MOST_CHANGES)
        self._open: OrderedDict[str, RecordedRun] = OrderedDict()
        self._rules, self._series, self._marks = RuleChecks(), SlotSeries(period), Marks()
        self._duplicates, self._summary = Duplicates(), SummaryBuilder()
        self._record: Record = {}
        self._at, self._taken, self._proven = 0.0, 0, True
        self._drawn: Period | None = None
        self._home = ""
        self._breach_since: float | None = None

    def add(self, record: Record) -> None:
        """Add the next record."""
        self._record = record
        self._taken += 1
        self._proven = self._is_proven()
        self._read_time()
        run = self._run()
        if self._is_in_period:
            self._summary.add_record(self._at)
            self._widen_charts()
        if self._duplicates.is_new(record) and (event := timeline.describe(record)):
            self._add_event(*event, run)
        if add := _ADD.get(record["event"]):
            add(self, run)
        if run:
            self._add_to_run(run)

    def report(self, integrity: Integrity) -> AuditReport:
        """Return the report; may be called once."""
        for run in list(self._open.values()):
            self._close(run, ended=False)
        changes = self._changes.rows()
        return AuditReport(
            period=self._period,
            integrity=integrity,
            summary=self._summary.summary(),
            events=self._events.rows(),
            violations=self._violations.rows(),
            changes=Rows(tuple(sorted(changes, key=lambda change: change.seq)), changes.left_out),
            rules=self._rules.rules(),
            has_more_rules=self._rules.has_more,
            series=self._series.series(),
            marks=self._marks.marks(),
            drawn=self._drawn,
        )

    @property
    def _is_in_period(self) -> bool:
        return self._period.holds(self._at)

    def _is_proven(self) -> bool:
        if not self._verification or self._verification.is_proven:
            return True
        proven = self._verification.proven
        return proven is not None and proven.holds(self._taken, int(self._record["seq"]))

    def _read_time(self) -> None:
        """Take over the record's time; one that is no time keeps that of the record before."""
        at = record_fields.moment(self._record["time"])
        if at is None:
            return
        before, self._at = self._at, at
        if at < before and self._taken > 1:
            self._add_event("clock", f"the clock went back by {formatting.seconds(before - at)}")

    def _widen_charts(self) -> None:
        """Widen the time of the charts to this record; an audit only looks at what ran, maybe much later."""
        if self._record["task"] != "audit":
            drawn = self._drawn or Period(self._at, self._at)
            self._drawn = Period(min(drawn.since, self._at), max(drawn.until, self._at))

    def _run(self) -> RecordedRun | None:
        """Return the run of this record; None where its first record is not known."""
        name = self._field("run")
        if name not in self._open and self._record["event"] in {"started", "lock"}:
            self._open[name] = RecordedRun(self._record, self._at, proven=self._proven)
            if len(self._open) > MOST_OPEN:
                self._close(next(iter(self._open.values())), ended=False)
        return self._open.get(name)

    def _add_to_run(self, run: RecordedRun) -> None:
        before = run.shares
        is_last = run.add(self._record, self._at, proven=self._proven)
        if run.shares is not None and run.shares != before:
            self._series.set_shares(self._at, dict(run.shares))
        if is_last:
            self._close(run, ended=True)

    def _close(self, run: RecordedRun, *, ended: bool) -> None:
        del self._open[run.run]
        if not run.is_change or not self._period.meets(run.began, run.last):
            return
        change = run.change(ended=ended)
        self._changes.add(change)
        self._summary.add_change(run.verb, change.outcome)
        if change.outcome != "locked":
            at = max(change.at, self._period.since)
            self._marks.add(Mark(at, change.verb, is_bad=change.outcome not in KEPT))

    def _add_event(self, kind: Kind, what: str, run: RecordedRun | None = None) -> None:
        if not self._is_in_period:
            return
        if mark := _MARKS.get(kind):
            self._marks.add(Mark(self._at, mark, is_bad=True))
        actor = str(run.actor if run else Actor())
        is_found = kind in _FOUND and self._field("outcome") != "mended"
        who = f"seen by {actor}" if is_found else actor
        seq = int(self._record["seq"])
        self._events.add(TimelineEvent(seq, self._at, kind, what, who, self._proven))

    def _field(self, name: str) -> str:
        return text_of(self._record, name)

    def _add_start(self, run: RecordedRun | None) -> None:
        home = self._field("home")
        if home and self._home and home != self._home:
            self._add_event("moved", f"the state folder moved from {self._home} to {home}", run)
        self._home = home or self._home

    def _add_end(self, run: RecordedRun | None) -> None:
        outcome, task = self._field("outcome"), self._field("task")
        verb = run.verb if run else task
        message = text_of(record_fields.mapping(self._record.get("error")), "message")
        kind = _ENDS.get(outcome)
        is_known = run is not None and run.rollback is not None
        if kind == "interrupted" or (kind and verb in {*VERBS, "teardown", "build"} and not is_known):
            where = "" if verb == task else f" (in {task})"
            why = "" if message in {"", outcome} else f": {message}"
            self._add_event(kind, f"{verb}{where} {outcome}{why}", run)
        if task == "teardown" and outcome == "done":
            self._duplicates.forget_chaos()
            self._series.set_shares(self._at, {})
            self._add_event("teardown", "teardown removed everything of this project", run)

    def _add_rollback(self, _: RecordedRun | None) -> None:
        self._duplicates.forget_chaos()
        if self._is_in_period:
            had_traffic = self._record.get("had_traffic") is not False
            seconds = record_fields.number(self._record.get("seconds"))
            self._summary.add_rollback(seconds if had_traffic else None)

    def _add_cut_off(self, run: RecordedRun | None) -> None:
        since = record_fields.moment(self._record.get("since"))
        for other in self._open.values():
            is_meant = since is None or other.began - 1 <= since <= other.last + 1
            if other is not run and other.verb == self._field("verb") and is_meant:
                other.is_cut_off = True

    def _add_verdict(self, run: RecordedRun | None) -> None:
        verdict = verdict_of(self._record, self._at)
        if run:
            run.add_verdict(verdict)
        if changed := self._duplicates.changed_policies(self._record):
            self._add_event("policy", changed, run)
        if self._is_in_period:
            self._summary.add_verdict(verdict)
            self._add_checks(verdict, run)

    def _add_checks(self, verdict: RecordedVerdict, run: RecordedRun | None) -> None:
        """Add what each rule answered, and a violation for each that failed."""
        verb = run.verb if run else self._field("task")
        for violation in violations(verdict, verb=verb, proven=self._proven):
            self._violations.add(violation)
        if verdict.outcome != "unanswered":
            for check in verdict.checks:
                self._rules.add(verdict.domain, check, self._at)

    def _add_scrape(self, run: RecordedRun | None) -> None:
        slots = record_fields.mapping(self._record.get("slots"))
        self._duplicates.forget_chaos(but_in=slots)
        self._series.add_scrape(self._at, slots)
        if self._is_in_period:
            self._summary.add_scrape()
            for found in record_fields.items(self._record.get("verdicts"))[:MOST_VERDICTS]:
                verdict = dashboard_verdict_of(record_fields.mapping(found), self._record, self._at)
                self._add_checks(verdict, run)
                self._add_breach(verdict, run)

    def _add_breach(self, verdict: RecordedVerdict, run: RecordedRun | None) -> None:
        """Add an event where the running release begins, or ceases, to break a canary rule."""
        if verdict.domain != "canary" or verdict.outcome == "unanswered":
            return
        since, is_broken = self._breach_since, verdict.outcome == "refused"
        if is_broken and since is None:
            self._breach_since = self._at
            broken = ", ".join(check.message or check.rule for check in verdict.checks if not check.passed)
            self._add_event("breach", f"the running release breaks canary rules: {broken}", run)
        if since is not None and not is_broken:
            self._breach_since = None
            self._summary.add_breach(self._at - since)
            self._add_event(
                "breach",
                f"the running release keeps the canary rules again, after {self._at - since:.0f} s",
                run,
            )


_ADD: dict[str, Callable[[ReportBuilder, RecordedRun | None], None]] = {
    "started": ReportBuilder._add_start,
    "finished": ReportBuilder._add_end,
    "rolled_back": ReportBuilder._add_rollback,
    "cut_off": ReportBuilder._add_cut_off,
    "verdict": ReportBuilder._add_verdict,
    "scrape": ReportBuilder._add_scrape,
}

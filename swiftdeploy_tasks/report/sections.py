"""The sections of the report as facts and tables that the Markdown report and the page share."""

from __future__ import annotations

from dataclasses import replace

from swiftdeploy_tasks.model.verdict import Check
from swiftdeploy_tasks.report import change_details, formatting, tables
from swiftdeploy_tasks.report.audit_report import AuditReport, Kind, TimelineEvent
from swiftdeploy_tasks.report.collectors import Distribution, Rows
from swiftdeploy_tasks.report.recorded_change import RecordedChange
from swiftdeploy_tasks.report.rule_checks import Rule
from swiftdeploy_tasks.report.summary import Tally
from swiftdeploy_tasks.report.tables import Cell, Fact, Table, Tone
from swiftdeploy_tasks.report.violation import Violation

MOST_OUTCOMES = 6
_KINDS: dict[Kind, tuple[Tone, str]] = {
    "release": ("good", "release"),
    "mode": ("", "mode"),
    "rolled_back": ("bad", "rolled back"),
    "undone": ("warn", "undone"),
    "held": ("warn", "held"),
    "teardown": ("", "teardown"),
    "chaos": ("warn", "chaos"),
    "chaos_gone": ("", "chaos over"),
    "drift": ("warn", "drift"),
    "refused": ("bad", "refused"),
    "failed": ("bad", "failed"),
    "interrupted": ("warn", "interrupted"),
    "cut_off": ("warn", "killed"),
    "recovered": ("good", "recovered"),
    "locked": ("", "locked"),
    "breach": ("warn", "rules"),
    "policy": ("", "policy"),
    "torn": ("warn", "history"),
    "head_lost": ("bad", "history"),
    "rotated": ("", "history"),
    "witness": ("warn", "witness"),
    "clock": ("warn", "clock"),
    "moved": ("warn", "moved"),
}


def heading(report: AuditReport) -> str:
    """Return which period was asked for, and what of it is on record."""
    summary, asked = report.summary, report.period
    period = formatting.period(asked.since, asked.until)
    if summary.first is None or summary.last is None:
        return f"Period: {period}; no record in it."
    on_record = formatting.span(summary.first, summary.last)
    return f"Period: {period}. On record: {on_record}, {formatting.counted(summary.records, 'record')}."


def summary(report: AuditReport) -> tuple[Fact, ...]:
    """Return the period in figures."""
    found = report.summary
    made, latency = found.changes, found.latency
    share = f"{100 * found.failed / made:.0f} %" if made else "no deploy or promote"
    counts = f"{found.failed} of {formatting.figure(made)} deploys and promotes; a held lock does not count"
    return (
        *map(_tally, found.tallies),
        Fact("Failed", Cell(share), counts if made else ""),
        Fact(
            "Automatic rollbacks",
            Cell(formatting.times(found.automatic_rollbacks)),
            f"from the breach to all traffic back: {_durations(found.recovery)}"
            if found.recovery
            else "no failed release had traffic",
        ),
        Fact(
            "Canary rules broken in service",
            Cell(formatting.seconds(found.breach.highest) if found.breach else "not seen"),
            f"as dashboards saw it, however it ended: {_durations(found.breach)}"
            if found.breach
            else "no dashboard saw one begin and end",
        ),
        Fact(
            "Policy questions",
            Cell(formatting.figure(found.questions)),
            f"{formatting.figure(found.refused)} refused, {formatting.figure(found.unanswered)} unanswered",
        ),
        Fact(
            "Policy latency",
            Cell(formatting.measured("_ms", latency.median) if latency else "not measured"),
            f"median; 95 % within {formatting.measured('_ms', latency.p95)}" if latency else "",
        ),
        Fact(
            "Records",
            Cell(formatting.figure(found.records)),
            f"{formatting.figure(found.scrapes)} of them scrapes of the running slots",
        ),
    )


def timeline(report: AuditReport) -> Table:
    """Return what happened, in the order of the file."""
    return tables.table(
        report.events,
        lambda row: (*event(row), tables.record(row.seq, row.proven)),
        caption="Releases, changes of mode, chaos, drift, refusals and interruptions",
        head=("At (UTC)", "Kind", "What", "Who", "Record"),
        what="events",
        none="No event in this period.",
    )


def violations(report: AuditReport) -> Table:
    """Return each failed rule, and each question without an answer."""
    return tables.table(
        report.violations,
        _violation,
        caption="Failed rules, and questions without an answer",
        head=("At (UTC)", "Verb", "Domain", "Rule", "Observed", "Limit", "Message", "Revision", "Record"),
        what="violations",
        none="No rule failed.",
    )


def changes(report: AuditReport) -> Table:
    """Return the deploys, promotes and rollbacks, a row each."""
    return tables.table(
        report.changes,
        _change,
        caption="Each run and its outcome",
        head=("At (UTC)", "Verb", "Who", "From", "To", "Took", "Outcome", "Record"),
        what="changes",
        none="No deploy, promote or rollback in this period.",
    )


def rules(report: AuditReport) -> Table:
    """Return each rule of the policies with its last check."""
    table = tables.table(
        Rows(report.rules),
        _rule,
        caption="Every rule with its last check",
        head=("Rule", "Domain", "Checked", "Failed", "Last observed", "Limit", "At (UTC)"),
        what="rules",
        none="No rule was checked.",
    )
    more = f"There were more rules than the {len(report.rules)} that are listed."
    return replace(table, note=more) if report.has_more_rules else table


def event(row: TimelineEvent) -> tuple[Cell, ...]:
    """Return the cells of an event: when it happened, its kind, what it was, and who did it."""
    return (
        tables.moment(row.at),
        tables.signed(*_KINDS[row.kind]),
        tables.cell(formatting.rounded(row.what)),
        tables.cell(row.who),
    )


def tone(kind: Kind) -> Tone:
    """Return the tone of an event of this kind."""
    return _KINDS[kind][0]


def _tally(tally: Tally) -> Fact:
    outcomes = sorted(tally.outcomes, key=lambda one: -one[1])
    shown, others = outcomes[:MOST_OUTCOMES], outcomes[MOST_OUTCOMES:]
    ends = [f"{count} {outcome}" for outcome, count in shown]
    if others:
        ends.append(f"{sum(count for _, count in others)} in {len(others)} other ways")
    return Fact(f"{tally.verb}s".capitalize(), Cell(formatting.figure(tally.runs)), ", ".join(ends))


def _durations(found: Distribution) -> str:
    return f"median {formatting.seconds(found.median)}, longest {formatting.seconds(found.highest)}"


def _violation(row: Violation) -> tuple[Cell, ...]:
    return (
        tables.moment(row.at),
        tables.cell(row.verb),
        tables.cell(f"{row.domain}, {row.phase}" if row.phase else row.domain),
        tables.cell(row.rule or "no answer"),
        *tables.figures(Check(row.rule, False, row.observed, row.limit, "")),
        tables.cell(formatting.rounded(row.message)),
        Cell(formatting.cut(row.revision), is_code=True),
        tables.record(row.seq, row.proven),
    )


def _change(row: RecordedChange) -> tuple[Cell, ...]:
    outcome = change_details.outcome(row)
    code = "" if row.exit_code is None else f", exit {row.exit_code}"
    back = ", automatic rollback" if row.rollback else ""
    return (
        tables.moment(row.at),
        tables.cell(row.command),
        tables.cell(str(row.actor)),
        tables.cell(str(row.before or "")),
        tables.cell(str(row.after or "")),
        Cell(formatting.seconds(row.seconds)),
        tables.cell(f"{outcome.text}{code}{back}", outcome.tone),
        tables.record(row.seq, row.proven),
    )


def _rule(row: Rule) -> tuple[Cell, ...]:
    observed, limit = tables.figures(row.last)
    if row.last.observed is None or row.last.evidence:
        observed = tables.cell(formatting.rounded(row.last.message) or tables.NO_FIGURE)
    return (
        tables.answer(row.last),
        tables.cell(row.domain),
        Cell(formatting.times(row.checked)),
        Cell(formatting.times(row.failed)),
        observed,
        limit,
        tables.moment(row.at),
    )

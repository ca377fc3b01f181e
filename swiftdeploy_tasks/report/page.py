"""The report as an HTML page, from the same values as the Markdown report."""

from __future__ import annotations

from pathlib import Path

from swiftdeploy_tasks.report import charts, evidence_charts, html, sections
from swiftdeploy_tasks.report.audit_report import THREAT, AuditReport
from swiftdeploy_tasks.report.change_details import ChangeDetails, details
from swiftdeploy_tasks.report.charts import Chart
from swiftdeploy_tasks.report.html import Drawing

MOST_SIGNS = 1_000_000


def page(report: AuditReport, *, project: str, made: float, folders: tuple[Path, ...]) -> str:
    """Return the whole page as text; `made` is the time that it names, in Unix seconds.

    Raises UsageError where the charting library is missing.
    """
    values = {
        "report": report,
        "project": project,
        "made": made,
        "threat": THREAT,
        "chart_note": charts.NOTE,
        "rules_note": charts.rules_note(report),
        "heading": sections.heading(report),
        "summary": sections.summary(report),
        "timeline": sections.timeline(report),
        "violations": sections.violations(report),
        "rules": sections.rules(report),
        "charts": [_placed(chart) for chart in charts.of_period(report)],
        "rule_charts": [_placed(chart) for chart in charts.of_rules(report)],
        "rollouts": {seq: _placed(chart) for seq, chart in charts.of_rollouts(report).items()},
        "evidence": {
            seq: [_placed(chart) for chart in found]
            for seq, found in evidence_charts.of_changes(report).items()
        },
        "changes": sections.changes(report),
        "details": _details(report),
    }
    return html.fill("report.html.j2", values, folders=folders)


def _placed(chart: Chart) -> dict[str, object]:
    return {
        "title": chart.title,
        "text": chart.text,
        "wide": Drawing(chart.wide),
        "narrow": Drawing(chart.narrow) if chart.narrow else None,
    }


def _details(report: AuditReport) -> dict[int, ChangeDetails]:
    """Return the details of changes by seq, the newest first, as many as a page of some MB holds."""
    room, shown = MOST_SIGNS, {}
    for change in reversed(report.changes.shown):
        found = details(change)
        if found.size <= room:
            room -= found.size
            shown[change.seq] = found
    return shown

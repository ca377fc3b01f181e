"""The charts of the evidence in the newest changes: against its threshold, and both slots side by side."""

from __future__ import annotations

from dataclasses import replace

from swiftdeploy_tasks.report import evidence_tables, formatting
from swiftdeploy_tasks.report.audit_report import AuditReport
from swiftdeploy_tasks.report.canvas import INK, SMALL, Frame
from swiftdeploy_tasks.report.charts import Chart
from swiftdeploy_tasks.report.drawing import COLOURS
from swiftdeploy_tasks.report.evidence_drawing import Curve, draw_evidence, draw_lines
from swiftdeploy_tasks.report.period import Period
from swiftdeploy_tasks.report.recorded_change import RecordedChange
from swiftdeploy_tasks.report.recorded_evidence import RULES, ChangeEvidence

MOST_DRAWN = 15
# A legend of three rows.
EVIDENCE = replace(SMALL, height=210, top=80)
_STYLES = {
    "max_error_rate": (COLOURS["blue"], "-"),
    "max_error_ratio": (COLOURS["blue"], (0, (5, 2))),
    "max_p99_ms": (COLOURS["green"], (0, (1, 1))),
    "max_slow_ratio": (COLOURS["green"], (0, (6, 2, 1, 2))),
}
_SIDES = (("new", "-"), ("stable", (0, (4, 2))))


def of_changes(report: AuditReport) -> dict[int, list[Chart]]:
    """Return the charts of the newest changes that were judged by evidence, by the change's seq."""
    judged = [change for change in report.changes if change.evidence][-MOST_DRAWN:]
    return {change.seq: _charts(change, change.evidence) for change in judged if change.evidence}


def _charts(change: RecordedChange, evidence: ChangeEvidence) -> list[Chart]:
    last = max(evidence.points[-1].at, change.ended or change.at)
    frame = Frame("", "", Period(min(change.at, evidence.points[0].at), last), SMALL)
    charts = (
        _against(replace(frame, name=f"evidence-{change.seq}", size=EVIDENCE), evidence),
        _sides(replace(frame, name=f"failed-{change.seq}", title="Errors, in %"), evidence, "errors"),
        _sides(replace(frame, name=f"slow-{change.seq}", title="p99, in ms"), evidence, "p99"),
    )
    return [chart for chart in charts if chart]


def _against(frame: Frame, evidence: ChangeEvidence) -> Chart:
    """Return the evidence against the release, a line a rule."""
    frame, lines, says = replace(frame, title="Evidence against the release"), [], []
    for place, rule in enumerate(RULES):
        points = [(point.at, point.e[place]) for point in evidence.points]
        known = [e for _, e in points if e is not None]
        if known:
            lines.append(Curve(rule, points, *_STYLES[rule]))
            says.append(f"{rule} {evidence_tables.figure(max(known))}")
    threshold = formatting.figure(evidence.last.threshold)
    judged = formatting.counted(evidence.judged, "verdict")
    text = f"Highest in {judged}: {', '.join(says)}; a rule fails at {threshold}."
    return Chart(frame.title, text, draw_evidence(frame, lines, evidence.last.threshold))


def _sides(frame: Frame, evidence: ChangeEvidence, name: str) -> Chart | None:
    """Return a figure of the new slot beside that of stable, None where neither is known."""
    lines, says = [], []
    for place, (side, dash) in enumerate(_SIDES):
        points = [(point.at, getattr(point, name)[place]) for point in evidence.points]
        known = [figure for _, figure in points if figure is not None]
        if known:
            lines.append(Curve(side, points, INK, dash))
            last, highest = formatting.figure(known[-1]), formatting.figure(max(known))
            says.append(f"{side}: last {last}, highest {highest}")
    return Chart(frame.title, f"{'; '.join(says)}.", draw_lines(frame, lines)) if lines else None

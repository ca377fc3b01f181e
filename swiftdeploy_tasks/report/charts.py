"""The charts of a report, each with a text alternative that has its main figures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace

from swiftdeploy_tasks.report import formatting
from swiftdeploy_tasks.report.audit_report import AuditReport
from swiftdeploy_tasks.report.canvas import NARROW, SMALL, WIDE, Frame
from swiftdeploy_tasks.report.drawing import SHAPES, Limits, draw_marks, draw_observations, draw_series
from swiftdeploy_tasks.report.marks import Mark
from swiftdeploy_tasks.report.period import Period
from swiftdeploy_tasks.report.recorded_change import KEPT, RecordedChange
from swiftdeploy_tasks.report.rule_checks import Rule
from swiftdeploy_tasks.report.series import Measured, Point, Series

MOST_RULES, MOST_ROLLOUTS = 12, 30
NOTE = (
    "All charts share one time axis, in UTC. app-blue is a solid line, app-green a dashed one, limits are"
    " dotted. A line ends where no scrape found the slot for a minute. Values close together are drawn as"
    " one, from the lowest to the highest."
)


@dataclass(frozen=True)
class Chart:
    """A chart of a page; `narrow` is for small screens, "" where `wide` fits these too."""

    title: str
    text: str
    wide: str
    narrow: str = ""


@dataclass(frozen=True)
class Measure:
    """A figure of the slots that has a chart, with the limit of a canary rule times `factor`."""

    measured: Measured
    title: str
    unit: str
    rule: str = ""
    factor: float = 1.0


MEASURES = (
    Measure("rate", "Requests a second", "requests/s"),
    Measure("errors", "Errors, in % of requests", "%", rule="max_error_rate", factor=100.0),
    Measure("p99", "Slowest 1 % of answers (p99), in ms", "ms", rule="max_p99_ms"),
    Measure("shares", "Share of each slot, in % of requests", "%"),
)


def of_period(report: AuditReport) -> list[Chart]:
    """Return the charts of the whole period, all on one time axis; none where there is nothing to draw."""
    if report.drawn is None:
        return []
    charts = [_measured(report, measure, report.drawn) for measure in MEASURES]
    return [_happened(report, report.drawn), *filter(None, charts)]


def of_rules(report: AuditReport) -> list[Chart]:
    """Return a small chart for each rule that observes a figure, those that failed first."""
    drawn = report.drawn
    rules = _observing(report)[:MOST_RULES]
    return [_rule(rule, f"rule-{place}", drawn) for place, rule in enumerate(rules)] if drawn else []


def of_rollouts(report: AuditReport) -> dict[int, Chart]:
    """Return the shares over time in each of the newest changes that moved them, by the change's seq."""
    moved = [change for change in report.changes if len(_settings(change)) > 1]
    return {change.seq: _rollout(change) for change in moved[-MOST_ROLLOUTS:]}


def rules_note(report: AuditReport) -> str:
    """Return how many rules have no chart, "" where all have one."""
    more = len(_observing(report)) - MOST_RULES
    return f"{more} more rules observe figures; the table lists them." if more > 0 else ""


def _happened(report: AuditReport, time: Period) -> Chart:
    marks, counts = _marks_in(report, time), Counter[str]()
    for mark in marks:
        counts[mark.kind] += mark.count
    counted = [f"{kind} {formatting.figure(counts[kind])}" for kind in SHAPES if counts[kind]]
    text = f"{formatting.span(time.since, time.until)}: {', '.join(counted) or 'nothing'}."
    if any(mark.is_bad for mark in marks):
        text += " Filled signs, lower in their row, are what went wrong."
    frame = Frame("happened", "What happened", time, WIDE)
    return _both(frame, text, lambda frame: draw_marks(frame, marks))


def _measured(report: AuditReport, measure: Measure, time: Period) -> Chart | None:
    series = [one for one in report.series if one.measured == measure.measured]
    if not series:
        return None
    limits, marks = _limits(report, measure), _marks_in(report, time)
    says = [_in_words(one, measure.unit) for one in series]
    if limits:
        says.append(f"limit {formatting.figure(limits[-1][1])} {measure.unit}")
    if measure.measured == "shares":
        series = [replace(one, points=_until(one.points, time.until)) for one in series]
    return _both(
        Frame(measure.measured, measure.title, time, WIDE),
        f"{'; '.join(says)}.",
        lambda frame: draw_series(frame, series, limits=limits, marks=marks),
    )


def _marks_in(report: AuditReport, time: Period) -> list[Mark]:
    """Return the marks, at the start of the time for what began before it."""
    return [replace(mark, at=max(mark.at, time.since)) for mark in report.marks]


def _in_words(series: Series, unit: str) -> str:
    name, points = f"app-{formatting.printable(series.slot)}", series.points
    low, peak = min(point.low for point in points), max(points, key=lambda point: point.high)
    if low == peak.high:
        return f"{name}: always {formatting.figure(low)} {unit}"
    reached = f"{formatting.figure(low)} to {formatting.figure(peak.high)} {unit}"
    last = formatting.figure(points[-1].last)
    return f"{name}: {reached}, highest at {formatting.moment(peak.at)}, last {last}"


def _limits(report: AuditReport, measure: Measure) -> Limits:
    """Return the limits of the canary rule that judges the figure."""
    for rule in report.rules:
        if (rule.domain, rule.last.rule) == ("canary", measure.rule):
            return [
                (one.at, measure.factor * one.limit) for one in rule.observations if one.limit is not None
            ]
    return []


def _until(points: tuple[Point, ...], end: float) -> tuple[Point, ...]:
    """Return the points of a share, which holds to the end."""
    last = points[-1].last
    return *points, Point(max(end, points[-1].at), last, last, last)


def _settings(change: RecordedChange) -> list[tuple[float, dict[str, int]]]:
    """Return when a change set which shares; one that was not confirmed returns to its first ones."""
    found = [
        (step.at + (step.seconds or 0.0), dict(step.weights))
        for step in change.steps
        if step.weights is not None and step.outcome == "done"
    ]
    back = change.rollback.at if change.rollback else change.ended
    if found and back and not change.is_confirmed and change.outcome not in KEPT:
        found.append((back, found[0][1]))
    return [one for place, one in enumerate(found) if not place or one[1] != found[place - 1][1]]


def _rollout(change: RecordedChange) -> Chart:
    settings = _settings(change)
    end = max(change.ended or change.at, settings[-1][0])
    series = []
    for slot in sorted({slot for _, weights in settings for slot in weights}):
        shares = [(at, float(weights.get(slot, 0))) for at, weights in settings]
        points = tuple(Point(at, share, share, share) for at, share in shares)
        series.append(Series(slot, "shares", _until(points, end)))
    marks = [Mark(change.rollback.at, "rolled back", is_bad=True)] if change.rollback else []
    text = " → ".join(formatting.weights(weights.items()) for _, weights in settings)
    frame = Frame(f"change-{change.seq}", "Shares during the rollout, in %", Period(change.at, end), SMALL)
    return Chart(frame.title, text, draw_series(frame, series, marks=marks))


def _observing(report: AuditReport) -> list[Rule]:
    """Return the rules that observe a figure, those that failed first."""
    return sorted((rule for rule in report.rules if rule.observations), key=lambda rule: not rule.failed)


def _rule(rule: Rule, name: str, time: Period) -> Chart:
    title, observations = rule.last.rule, rule.observations
    failed = f"failed {formatting.times(rule.failed)}"
    says = [f"{rule.domain}: checked {formatting.times(rule.checked)}, {failed}"]
    if len(observations) < rule.checked:
        says.append(f"{len(observations)} of the {formatting.figure(rule.checked)} are drawn")
    limits = [(one.at, one.limit) for one in observations if one.limit is not None]
    limit = f", limit {formatting.figure(limits[-1][1])}" if limits else ""
    says.append(f"last {formatting.figure(observations[-1].figure)}{limit}")
    drawn = draw_observations(Frame(name, title, time, SMALL), observations, limits)
    return Chart(title, f"{'; '.join(says)}.", drawn)


def _both(frame: Frame, text: str, draw: Callable[[Frame], str]) -> Chart:
    """Return a chart that is drawn for a wide and for a narrow screen."""
    wide = draw(replace(frame, name=f"{frame.name}-wide", size=WIDE))
    narrow = draw(replace(frame, name=f"{frame.name}-narrow", size=NARROW))
    return Chart(frame.title, text, wide, narrow)

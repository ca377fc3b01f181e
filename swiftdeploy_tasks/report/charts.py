"""Which charts does a story need, and what does each say to somebody who cannot see it?

Stands apart from the drawing, which knows no deployments, and from the page, which only places what is here.
Each chart has a text with the figures that matter. It leaves nothing out unsaid.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from swiftdeploy_tasks.gate.verdict import Check
from swiftdeploy_tasks.report import words
from swiftdeploy_tasks.report.fields import number
from swiftdeploy_tasks.report.figures import (
    HIGHEST,
    NARROW,
    SMALL,
    WIDE,
    Caption,
    Line,
    Mark,
    Size,
    Span,
    Value,
    checked,
    course,
    occasions,
)
from swiftdeploy_tasks.report.story import Change, Judgement, Point, Series, Story

Shares = tuple[float, tuple[tuple[str, int], ...]]
_Asked = tuple[float, object, object, bool | None]
MOST_RULES, MOST_ROLLOVERS = 12, 30
_HAPPENED = {
    "refused": "refusal",
    "rolled_back": "rollback",
    "chaos": "chaos",
    "interrupted": "interruption",
    "cut_off": "interruption",
}
_CANARY = "canary"


@dataclass(frozen=True)
class Chart:
    """What a page places: `narrow` is for small screens, "" where `wide` fits these too."""

    title: str
    text: str
    wide: str
    narrow: str = ""


@dataclass(frozen=True)
class Measure:
    """A figure of a slot that is drawn over time, beside the limit of the canary's `rule` times `factor`."""

    name: str
    title: str
    unit: str
    value: Callable[[Point], float | None]
    rule: str = ""
    factor: float = 1.0


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


def of(story: Story) -> list[Chart]:
    """Return the charts of the whole period, all on one time axis; none where nothing happened."""
    span = _span(story)
    if span is None:
        return []
    marks = _marks(story)
    rules = {one.rule: one for one in _seen(story) if one.domain == _CANARY}
    drawn = [_measured(story.series, one, rules.get(one.rule), span, marks) for one in MEASURES]
    charts = [_happened(marks, span), *drawn, _weights(story, span, marks)]
    return [chart for chart in charts if chart]


def of_rules(story: Story) -> list[Chart]:
    """Return a small chart for each rule that observes a figure, those that said no first."""
    span = _span(story)
    seen = [one for one in _seen(story) if one.observed]
    seen.sort(key=lambda one: not one.failed)
    return [_checked(one, span, place) for place, one in enumerate(seen[:MOST_RULES])] if span else []


def of_rollovers(story: Story) -> dict[int, Chart]:
    """Return how the weights moved in each of the newest changes that moved them, by the change's seq."""
    moved = [change for change in story.changes if len(_shares_set(change)) > 1]
    return {change.seq: _rollover(change) for change in moved[-MOST_ROLLOVERS:]}


def _span(story: Story) -> Span | None:
    first, last = story.summary.first, story.summary.last
    return None if first is None or last is None else Span(min(first, last), max(first, last))


def _marks(story: Story) -> list[Mark]:
    changes = (
        Mark(change.at, change.verb, change.outcome != "done")
        for change in story.changes
        if change.outcome != "locked"
    )
    events = (
        Mark(event.at, _HAPPENED[event.kind], True) for event in story.events if event.kind in _HAPPENED
    )
    return sorted([*changes, *events], key=lambda mark: mark.time)


def _happened(marks: Sequence[Mark], span: Span) -> Chart:
    counts = {mark.kind: 0 for mark in marks}
    for mark in marks:
        counts[mark.kind] += 1
    told = ", ".join(f"{kind} {count}" for kind, count in counts.items()) or "nothing"
    text = f"{words.span(span.start, span.end)}. {told}. Filled signs are what went wrong."
    return _both(
        "happened",
        "What happened",
        text,
        lambda caption, size: occasions(caption, marks, span=span, size=size),
    )


def _measured(
    series: Sequence[Series], measure: Measure, rule: Seen | None, span: Span, marks: Sequence[Mark]
) -> Chart | None:
    lines = [Line(one.slot, tuple(_with_gaps(one.points, measure.value))) for one in series]
    lines = [line for line in lines if any(figure is not None for _, figure in line.values)]
    if not lines:
        return None
    limits = _limits(rule, span, measure.factor)
    told = [_course_in_words(line, measure.unit) for line in lines]
    if limits and (last := limits[-1][1]) is not None:
        told.append(f"limit {words.figure(last)} {measure.unit}")
    if any(one.scrapes > len(one.points) for one in series):
        told.append("scrapes that lie close together are drawn as one, with their highest figure")
    told += _clipped(figure for line in lines for _, figure in line.values)
    return _both(
        measure.name,
        measure.title,
        f"{'; '.join(told)}.",
        lambda caption, size: course(caption, lines, span=span, size=size, limits=limits, marks=marks),
    )


def _with_gaps(points: Iterable[Point], value: Callable[[Point], float | None]) -> Iterator[Value]:
    """The figures over time; nothing joins what nobody looked at, nor two releases in one slot."""
    release = ""
    for point in points:
        if point.gap or point.release != release:
            yield point.at, None
        release = point.release
        yield point.at, value(point)
        if point.until > point.at:
            yield point.until, value(point)


def _course_in_words(line: Line, unit: str) -> str:
    known = [(figure, at) for at, figure in line.values if figure is not None]
    (low, _), (high, at) = min(known), max(known)
    return (
        f"app-{line.slot}: {words.figure(low)} to {words.figure(high)} {unit}, highest at {words.clock(at)}"
    )


def _percent(share: float | None) -> float | None:
    return None if share is None else 100 * share


def _clipped(figures: Iterable[float | None]) -> list[str]:
    """What is to be said where a figure is beyond all axes."""
    is_clipped = any(figure is not None and abs(figure) > HIGHEST for figure in figures)
    return [f"figures beyond {HIGHEST:.0e} are drawn there"] if is_clipped else []


MEASURES = (
    Measure("rate", "Requests a second", "requests/s", lambda point: point.peak_rate),
    Measure(
        "errors",
        "Errors, in % of requests",
        "%",
        lambda point: _percent(point.error_rate),
        "max_error_rate",
        100.0,
    ),
    Measure("p99", "Slowest 1 % of answers (p99), in ms", "ms", lambda point: point.p99_ms, "max_p99_ms"),
)


def _limits(rule: Seen | None, span: Span, factor: float) -> list[Value]:
    """The limits as they changed; the first one known is drawn from the start."""
    known = [(at, factor * limit) for at, limit in (rule.limits if rule else ()) if limit is not None]
    return [(span.start, known[0][1]), *known[1:]] if known else []


def _weights(story: Story, span: Span, marks: Sequence[Mark]) -> Chart | None:
    lines = _shares(story)
    if not lines:
        return None
    now = ", ".join(f"app-{line.slot} {words.figure(line.values[-1][1])} %" for line in lines)
    ended = [replace(line, values=(*line.values, (span.end, line.values[-1][1]))) for line in lines]
    return _both(
        "weights",
        "Share of each slot, in % of requests",
        f"At the end: {now}. The shares of each roll-over are listed with it, below.",
        lambda caption, size: course(
            caption, ended, span=span, size=size, marks=marks, is_stepped=True, top=105
        ),
    )


def _shares(story: Story) -> list[Line]:
    """What each slot got over time, as changes set it; before the first one, as scrapes saw it.

    A scrape is on record a moment after its look, when a change may have set other shares.
    """
    shares: list[tuple[float, Mapping[str, int]]] = [
        (at, dict(weights)) for change in story.changes for at, weights in _shares_set(change)
    ]
    shares += [(event.at, {}) for event in story.events if event.kind == "teardown"]
    first = min((change.at for change in story.changes), default=math.inf)
    seen = {
        one.slot: [(point.at, float(point.weight)) for point in one.points if point.at < first]
        for one in story.series
    }
    slots = sorted({slot for _, weights in shares for slot in weights} | seen.keys())
    lines = (
        Line(slot, tuple(sorted([*((at, float(w.get(slot, 0))) for at, w in shares), *seen.get(slot, [])])))
        for slot in slots
    )
    return [line for line in lines if line.values]


def _shares_set(change: Change) -> list[Shares]:
    """When a change set which shares, those before it first; one that was not confirmed returned to these."""
    found = [
        (step.at + (step.seconds or 0.0), step.weights)
        for step in change.steps
        if step.weights and step.outcome == "done"
    ]
    back = change.way_back.at if change.way_back else change.ended
    if found and back and not change.is_confirmed:
        found.append((back, found[0][1]))
    return [one for place, one in enumerate(found) if not place or one[1] != found[place - 1][1]]


def _rollover(change: Change) -> Chart:
    settings = _shares_set(change)
    slots = sorted({slot for _, weights in settings for slot, _ in weights})
    end = max(change.ended or change.at, settings[-1][0])
    lines = [
        Line(
            slot,
            (
                *((at, float(dict(weights).get(slot, 0))) for at, weights in settings),
                (end, float(dict(settings[-1][1]).get(slot, 0))),
            ),
        )
        for slot in slots
    ]
    marks = [Mark(change.way_back.at, "rollback", True)] if change.way_back else []
    text = " → ".join(words.weights(weights) for _, weights in settings)
    caption = Caption(f"change-{change.seq}", "Shares while it rolled over, in %", text)
    drawn = course(
        caption, lines, span=Span(change.at, end), size=SMALL, marks=marks, is_stepped=True, top=105
    )
    return Chart(caption.title, text, drawn)


def _seen(story: Story) -> list[Seen]:
    """What the rules that observe figures saw in the verdicts that the story keeps, by domain and rule."""
    found: dict[tuple[str, str], list[_Asked]] = {}
    for verdict in _verdicts(story):
        for check in verdict.checks:
            found.setdefault((verdict.domain, check.rule), []).append(_asked(verdict.at, check))
    counted = {(rule.domain, rule.last.rule): (rule.made, rule.failed) for rule in story.rules}
    for rule in story.rules:
        rows = found.setdefault((rule.domain, rule.last.rule), [])
        if not any(at == rule.at for at, *_ in rows):
            rows.append(_asked(rule.at, rule.last))
    return [
        Seen(
            domain,
            rule,
            *counted.get((domain, rule), (len(rows), sum(passed is False for *_, passed in rows))),
            tuple((at, value, ok) for at, seen, _, ok in rows if (value := number(seen)) is not None),
            tuple(_changed((at, number(limit)) for at, _, limit, _ in rows)),
        )
        for (domain, rule), rows in sorted((key, sorted(rows, key=_time)) for key, rows in found.items())
    ]


def _asked(at: float, check: Check) -> _Asked:
    return at, check.observed, check.limit, check.passed if check.is_judged else None


def _time(row: _Asked) -> float:
    return row[0]


def _verdicts(story: Story) -> Iterator[Judgement]:
    for change in story.changes:
        yield from change.verdicts


def _changed(values: Iterable[Value]) -> Iterator[Value]:
    """Only the values that differ from the one before."""
    before: float | None = None
    for at, value in values:
        if value is not None and value != before:
            yield at, value
            before = value


def _checked(one: Seen, span: Span, place: int) -> Chart:
    drawn = "" if len(one.observed) == one.made else f", {len(one.observed)} of these drawn"
    last = one.observed[-1]
    limit = one.limits[-1][1] if one.limits else None
    clipped = _clipped(value for _, value, _ in one.observed)
    against = "" if limit is None else f" against a limit of {words.figure(limit)}"
    text = (
        f"{one.domain}: asked {words.times(one.made)}, said no {words.times(one.failed)}{drawn};"
        f" {'; '.join([f'last {words.figure(last[1])}{against}', *clipped])}."
    )
    limits = _limits(one, span, 1.0)
    caption = Caption(f"rule-{place}", one.rule, text)
    return Chart(one.rule, text, checked(caption, one.observed, limits, span=span, size=SMALL))


def _both(name: str, title: str, text: str, draw: Callable[[Caption, Size], str]) -> Chart:
    wide, narrow = (
        draw(Caption(f"{name}-{suffix}", title, text), size)
        for suffix, size in (("wide", WIDE), ("narrow", NARROW))
    )
    return Chart(title, text, wide, narrow)

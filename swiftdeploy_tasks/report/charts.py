"""The charts of a story, each with a text alternative that has its main figures."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from swiftdeploy_tasks.report import words
from swiftdeploy_tasks.report.course import Point, Series, Share, Sign
from swiftdeploy_tasks.report.density import HIGHEST, NARROW, SMALL, WIDE, Size, Span, Value, is_dense
from swiftdeploy_tasks.report.figures import SHAPES, Caption, Line, Mark, checked, course, occasions
from swiftdeploy_tasks.report.seen import Seen, seen
from swiftdeploy_tasks.report.story import Change, Story

Shares = tuple[float, tuple[tuple[str, int], ...]]
MOST_RULES, MOST_ROLLOVERS = 12, 30
_CANARY = "canary"
_CALLED = {"rolled back": "rolled back by itself"}
_ROOM_FOR_ROWS = 10


@dataclass(frozen=True)
class Chart:
    """What a page places: `narrow` is for small screens, "" where `wide` fits these too."""

    title: str
    text: str
    wide: str
    narrow: str = ""


@dataclass(frozen=True)
class Measure:
    """A figure of a slot that is drawn over time, beside the limit of the canary's `rule` times `factor`.

    `value` is the worst that a point holds; `low` the lowest, None where that is not kept.
    """

    name: str
    title: str
    unit: str
    value: Callable[[Point], float | None]
    low: Callable[[Point], float | None] = lambda _: None
    rule: str = ""
    factor: float = 1.0


def of(story: Story) -> list[Chart]:
    """Return the charts of the whole period, all on one time axis; none where nothing happened."""
    span = _span(story)
    if span is None:
        return []
    marks = _marks(story.signs, span)
    rules = {one.rule: one for one in seen(story) if one.domain == _CANARY}
    drawn = [_measured(story.series, one, rules.get(one.rule), span, marks) for one in MEASURES]
    charts = [_happened(story.signs, marks, span), *drawn, _weights(story.shares, span, marks)]
    return [chart for chart in charts if chart]


def of_rules(story: Story) -> list[Chart]:
    """Return a small chart for each rule that observes a figure, those that said no first."""
    span = _span(story)
    rules = _observing(story)[:MOST_RULES]
    return [_checked(one, span, place) for place, one in enumerate(rules)] if span else []


def of_rollovers(story: Story) -> dict[int, Chart]:
    """Return how the weights moved in each of the newest changes that moved them, by the change's seq."""
    return {change.seq: _rollover(change) for change in _moved(story)[-MOST_ROLLOVERS:]}


def notes(story: Story) -> list[str]:
    """Return how the charts of the period are to be read, and what of it they do not show."""
    return [*_reading(story), *_left_out(story)]


def notes_of_rules(story: Story) -> list[str]:
    """Return what the charts of the rules do not show."""
    more = len(_observing(story)) - MOST_RULES
    return [f"{more} more rules observe figures; they are in the table, without a chart."] if more > 0 else []


def _reading(story: Story) -> Iterator[str]:
    yield (
        "All on one time axis, in UTC. app-blue is drawn through, app-green dashed, limits dotted."
        " Where there is no line, nobody looked, or the slot was not there."
        " A round sign stands for things that lie too close together to be told apart."
    )
    thinned = any(one.scrapes > len(one.points) for one in story.series)
    if thinned:
        yield (
            "Scrapes that lie close together are drawn as one: requests with the lowest and the highest"
            " figure, errors and p99 with the highest."
        )
    if any(is_dense(len(one.points), NARROW) for one in story.series) or any(
        is_dense(len(one.values), NARROW) for one in story.shares
    ):
        yield (
            "Where there is too much for a line, columns reach from the lowest to the highest figure;"
            " of app-green every other one is drawn."
        )


def _left_out(story: Story) -> Iterator[str]:
    stretch = story.stretch
    for before, after in stretch.jumps if stretch else ():
        is_earlier = stretch is not None and after <= stretch.start
        how = f"--until {_stamp(math.ceil(before))}" if is_earlier else f"--since {_stamp(after)}"
        yield (
            f"The times on record jump from {words.moment(before)} to {words.moment(after)}, with none"
            f" between: what lies {'before' if is_earlier else 'after'} that is not drawn."
            f" To see it: invoke audit --html {how}"
        )
    if stretch and stretch.left_out:
        yield f"Records that are not drawn for that: {words.figure(stretch.left_out)}."
    if odd := sum(one.odd for one in story.series):
        yield (
            f"{words.figure(odd)} figures that cannot be, such as an error rate above 100 % or a time below"
            " 0, are taken as not known."
        )
    if "slots" in story.beyond:
        yield f"There were more slots than the {len(story.series)} that are drawn."
    if (moved := len(_moved(story))) > MOST_ROLLOVERS:
        yield f"Of the {moved} changes below that moved shares, the newest {MOST_ROLLOVERS} have a chart."


def _stamp(at: float) -> str:
    return f"{words.moment(at).replace(' ', 'T')}Z"


def _span(story: Story) -> Span | None:
    return Span(story.stretch.start, story.stretch.end) if story.stretch else None


def _marks(signs: Iterable[Sign], span: Span) -> list[Mark]:
    """The signs that lie in the span, at its start what began before it."""
    drawn = (one for one in signs if one.until >= span.start and one.at <= span.end)
    return [Mark(max(one.at, span.start), one.kind, one.is_bad, one.count) for one in drawn]


def _happened(signs: Sequence[Sign], marks: Sequence[Mark], span: Span) -> Chart:
    counts = Counter[str]()
    for sign in signs:
        counts[sign.kind] += sign.count
    told = [f"{_CALLED.get(kind, kind)} {words.figure(counts[kind])}" for kind in SHAPES if counts[kind]]
    text = f"{words.span(span.start, span.end)}: {', '.join(told) or 'nothing'}."
    if any(sign.is_bad for sign in signs):
        text += " Filled signs, lower in their row, are what went wrong."
    if outside := counts.total() - sum(mark.count for mark in marks):
        text += f" Outside of this time, and not drawn: {words.figure(outside)}."
    sizes = [replace(size, height=size.height + _ROOM_FOR_ROWS) for size in (WIDE, NARROW)]
    return _both(
        "happened",
        "What happened",
        text,
        lambda caption, size: occasions(caption, marks, span=span, size=size),
        sizes,
    )


def _measured(
    series: Sequence[Series], measure: Measure, rule: Seen | None, span: Span, marks: Sequence[Mark]
) -> Chart | None:
    lines = [Line(one.slot, tuple(_with_gaps(_within(one.points, span), measure))) for one in series]
    lines = [line for line in lines if any(figure is not None for _, figure in line.values)]
    if not lines:
        return None
    limits = _limits(rule, span, measure.factor)
    told = [_course_in_words(line, measure.unit, limits, span) for line in lines]
    if limits and (last := limits[-1][1]) is not None:
        told.append(f"limit {words.figure(last)} {measure.unit}")
    return _both(
        measure.name,
        measure.title,
        f"{'; '.join(told)}.",
        lambda caption, size: course(caption, lines, span=span, size=size, limits=limits, marks=marks),
    )


def _within(points: Iterable[Point], span: Span) -> Iterator[Point]:
    return (point for point in points if point.until >= span.start and point.at <= span.end)


def _with_gaps(points: Iterable[Point], measure: Measure) -> Iterator[Value]:
    """The figures over time; nothing joins what nobody looked at, nor two releases in one slot."""
    release = ""
    for point in points:
        if point.gap or point.release != release:
            yield point.at, None
        release = point.release
        high, low = measure.value(point), measure.low(point)
        yield point.at, high
        if low is not None and low != high:
            yield (point.at + point.until) / 2, low
        if point.until > point.at:
            yield point.until, high


def _course_in_words(line: Line, unit: str, limits: Sequence[Value], span: Span) -> str:
    known = [(figure, at) for at, figure in line.values if figure is not None]
    low, (high, at) = min(known)[0], max(known, key=_figure)
    name = f"app-{words.printable(line.slot)}"
    if low == high:
        return f"{name}: always {words.figure(high)} {unit}{_above(line, limits, span)}"
    first = f", highest {'' if _is_within_a_day(span) else 'first '}at {_when(at, span)}"
    return f"{name}: {words.figure(low)} to {words.figure(high)} {unit}{first}{_above(line, limits, span)}"


def _above(line: Line, limits: Sequence[Value], span: Span) -> str:
    """From when until when figures lay above the limit that held, "" where none did."""
    times = [at for at, _ in limits]
    above = [
        at
        for at, figure in line.values
        if figure is not None
        and (held := limits[max(0, bisect_right(times, at) - 1)][1] if limits else None) is not None
        and figure > held
    ]
    if not above:
        return ""
    if above[0] == above[-1]:
        return f", above the limit at {_when(above[0], span)}"
    return f", above the limit between {_when(above[0], span)} and {_when(above[-1], span)}"


def _figure(known: tuple[float, float]) -> float:
    return known[0]


def _when(at: float, span: Span) -> str:
    return words.clock(at) if _is_within_a_day(span) else words.moment(at)


def _is_within_a_day(span: Span) -> bool:
    return words.moment(span.start)[:10] == words.moment(span.end)[:10]


def _percent(share: float | None) -> float | None:
    return None if share is None else 100 * share


MEASURES = (
    Measure(
        "rate",
        "Requests a second",
        "requests/s",
        lambda point: point.peak_rate,
        low=lambda point: point.low_rate,
    ),
    Measure(
        "errors",
        "Errors, in % of requests",
        "%",
        lambda point: _percent(point.error_rate),
        rule="max_error_rate",
        factor=100.0,
    ),
    Measure(
        "p99",
        "Slowest 1 % of answers (p99), in ms",
        "ms",
        lambda point: point.p99_ms,
        rule="max_p99_ms",
    ),
)


def _limits(rule: Seen | None, span: Span, factor: float) -> list[Value]:
    """The limits as they changed; the first one known is drawn from the start."""
    known = [(at, factor * limit) for at, limit in (rule.limits if rule else ()) if limit is not None]
    return [(span.start, known[0][1]), *known[1:]] if known else []


def _weights(shares: Sequence[Share], span: Span, marks: Sequence[Mark]) -> Chart | None:
    lines = [Line(one.slot, values) for one in shares if (values := _held(one, span))]
    if not lines:
        return None
    now = ", ".join(
        f"app-{words.printable(line.slot)} {words.figure(line.values[-1][1])} %" for line in lines
    )
    return _both(
        "weights",
        "Share of each slot, in % of requests",
        f"At the end: {now}. The shares of each roll-over are listed with it, below.",
        lambda caption, size: course(
            caption, lines, span=span, size=size, marks=marks, is_stepped=True, top=105
        ),
    )


def _held(share: Share, span: Span) -> tuple[Value, ...]:
    """The shares that held within the span, from its start or the first one known, to its end."""
    before = [(span.start, value) for at, value in share.values if at <= span.start]
    held = [*before[-1:], *((at, value) for at, value in share.values if span.start < at <= span.end)]
    return (*held, (span.end, held[-1][1])) if held else ()


def _moved(story: Story) -> list[Change]:
    return [change for change in story.changes if len(_shares_set(change)) > 1]


def _shares_set(change: Change) -> list[Shares]:
    """When a change set which shares, those before it first; one that was not confirmed returned to these."""
    found = [
        (step.at + (step.seconds or 0.0), step.weights)
        for step in change.steps
        if step.weights is not None and step.outcome == "done"
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
    marks = [Mark(change.way_back.at, "rolled back", True)] if change.way_back else []
    text = " → ".join(words.weights(weights) for _, weights in settings)
    caption = Caption(f"change-{change.seq}", "Shares while it rolled over, in %")
    drawn = course(
        caption, lines, span=Span(change.at, end), size=SMALL, marks=marks, is_stepped=True, top=105
    )
    return Chart(caption.title, text, drawn)


def _observing(story: Story) -> list[Seen]:
    """The rules that observe a figure, those that said no first."""
    return sorted((one for one in seen(story) if one.observed), key=lambda one: not one.failed)


def _checked(one: Seen, span: Span, place: int) -> Chart:
    observed = [row for row in one.observed if span.start <= row[0] <= span.end]
    said_no = f"said no {words.times(one.failed)}" if one.failed else "never said no"
    told = [f"{one.domain}: asked {words.times(one.made)}, {said_no}"]
    if len(observed) < one.made:
        told.append(f"{len(observed)} of the {words.figure(one.made)} are drawn")
    limit = one.limits[-1][1] if one.limits else None
    against = "" if limit is None else f" against a limit of {words.figure(limit)}"
    told.append(f"last {words.figure(one.observed[-1][1])}{against}")
    if any(abs(value) > HIGHEST for _, value, _ in observed):
        told.append(f"figures beyond {HIGHEST:.0e} are drawn there")
    caption = Caption(f"rule-{place}", one.rule)
    drawn = checked(caption, observed, _limits(one, span, 1.0), span=span, size=SMALL)
    return Chart(one.rule, f"{'; '.join(told)}.", drawn)


def _both(
    name: str,
    title: str,
    text: str,
    draw: Callable[[Caption, Size], str],
    sizes: Sequence[Size] = (WIDE, NARROW),
) -> Chart:
    wide, narrow = (
        draw(Caption(f"{name}-{suffix}", title), size)
        for suffix, size in zip(("wide", "narrow"), sizes, strict=True)
    )
    return Chart(title, text, wide, narrow)

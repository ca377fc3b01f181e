"""Draws a series as an SVG element, with matplotlib, which is loaded for the first figure.

A gap stays a gap. A value beyond an axis is drawn at its edge, and dense lines as columns. No text is read as
a formula, and no two things differ by colour alone.
"""

from __future__ import annotations

import io
import logging
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from swiftdeploy_tasks.errors import UsageError
from swiftdeploy_tasks.report import density, inline, words
from swiftdeploy_tasks.report.density import (
    COLUMN,
    DAY,
    HIGHEST,
    RIGHT,
    WIDE,
    Cell,
    Known,
    Size,
    Span,
    Value,
    days,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's colours; the page's style sheet names the same ones, and gives each another for the dark.
INK, FAINT = "#24292f", "#c9d1d9"
COLOURS = {"blue": "#0072b2", "green": "#009e73"}
LIMIT, BAD = "#d55e00", "#a8327d"
DASHES = {"blue": "-", "green": (0, (5, 1.5))}
SHAPES = {
    "deploy": "^",
    "promote": "D",
    "rollback": "v",
    "rolled back": "<",
    "refusal": "X",
    "chaos": "*",
    "interruption": "s",
}
_ANSWERS = ((True, "o", INK, "passed"), (None, "1", INK, "not judged"), (False, "X", BAD, "failed"))
_LONGEST, _MINUTES = 60, 900
_LETTERS = {"%H:%M:%S": 8, "%H:%M": 5, "%m-%d": 5, "%Y-%m-%d": 10}
# In pixels: the shortest line that can be seen, and the room of a sign.
_SHORTEST, _CELL = 3, 11
_MOST_RULED = 30
_FAR = 5
_TOP, _BOTTOM = 40, 24


@dataclass(frozen=True)
class Line:
    """One slot's series: (unix seconds, value), rising in time; None where nothing is known."""

    slot: str
    values: Sequence[Value]


@dataclass(frozen=True)
class Mark:
    """Something that happened, `count` times: `kind` is a key of SHAPES, and `is_bad` is what went wrong."""

    time: float
    kind: str
    is_bad: bool = False
    count: int = 1


@dataclass(frozen=True)
class Caption:
    """What a picture is called on its page: `name` starts its ids."""

    name: str
    title: str


def course(
    caption: Caption,
    lines: Sequence[Line],
    *,
    span: Span,
    size: Size,
    limits: Sequence[Value] = (),
    marks: Sequence[Mark] = (),
    is_stepped: bool = False,
    top: float | None = None,
) -> str:
    """Draw what each slot did over time, with the limit that held and when something happened.

    `limits` are points too: a limit holds from its time on. `is_stepped` is for a share that stays until it
    is changed; `top` is the axis' end, else it follows from the values: a limit far above them all is named
    and not drawn.
    """
    with _figure(size) as figure:
        axes = _axes(figure, size, span)
        _mark(axes, marks, span, size)
        highest = 0.0
        for line in lines:
            values = density.stepped(line.values) if is_stepped else line.values
            highest = max([highest, *(value for _, value in values if value is not None)])
            _course(axes, line.slot, values, span, size, is_stepped=is_stepped)
        lowest = min((limit for _, limit in limits if limit is not None), default=0.0)
        is_far = 0 < _FAR * highest < lowest
        _limit(axes, limits, span, "limit, far above" if is_far else "limit")
        fitting = 1.15 * highest if is_far else max(axes.get_ylim()[1], 1.08 * min(highest, HIGHEST))
        axes.set_ylim(0, top or max(fitting, 1e-9))
        _legend(axes, size)
        return _drawn(figure, caption)


def _course(
    axes: Axes, slot: str, values: Sequence[Value], span: Span, size: Size, *, is_stepped: bool
) -> None:
    """One slot: a line, with a dot where the line could not be seen; where it is too dense, columns.

    Every other column is drawn of a slot whose line is dashed.
    """
    colour, dashes = COLOURS.get(slot, INK), DASHES.get(slot, "-")
    how: dict[str, Any] = {"color": colour, "lw": 1.8, "zorder": 3, "label": _short(slot)}
    if density.is_dense(len(values), size):
        axes.plot([], [], ls=dashes, **how)
        _columns_of(axes, values, span, size, colour, is_dashed=dashes != "-")
        return
    times, heights = _columns(values)
    axes.plot(times, heights, ls=dashes, marker="." if len(times) < 30 and not is_stepped else "", **how)
    seen = density.lone(values, span.seconds(_SHORTEST, size))
    known = [(time, value) for time, value in values if value is not None]
    if known and not is_stepped:
        peak = max(known, key=_height)
        seen += [peak] if peak[1] > min(known, key=_height)[1] else []
    axes.plot(*_columns(seen), "o", color=colour, ms=4, zorder=3)


def _columns_of(
    axes: Axes, values: Sequence[Value], span: Span, size: Size, colour: str, *, is_dashed: bool
) -> None:
    start = span.edges[0] * DAY
    width = span.seconds(COLUMN * (1 + is_dashed), size)
    drawn: list[Value] = []
    for middle, low, high in density.columns(values, start, width):
        drawn += [(middle, low), (middle, high), (middle, None)]
    lw = COLUMN * (0.75 if is_dashed else 1.0)
    axes.plot(*_columns(drawn), color=colour, lw=lw, solid_capstyle="projecting", zorder=3)


def _height(value: Known) -> float:
    return value[1]


def occasions(caption: Caption, marks: Sequence[Mark], *, span: Span, size: Size) -> str:
    """Draw when each kind of thing happened, a row a kind; what went wrong is filled with another colour.

    It stands in the lower half of the row, what went well in the upper one. Signs that would lie upon each
    other are drawn as one, with their number where there is room for it.
    """
    with _figure(size) as figure:
        axes = _axes(figure, size, span, top=12)
        rows = list(SHAPES)
        axes.set_yticks(range(len(rows)), rows)
        axes.set_ylim(len(rows) - 0.4, -0.6)
        for kind, is_bad, signs in _kinds(marks):
            level = rows.index(kind) + (0.2 if is_bad else -0.2)
            found = density.cells(signs, span.edges[0] * DAY, span.seconds(_CELL, size))
            places = ([days(cell.time) for cell in found], [level] * len(found))
            _signs(axes, SHAPES[kind], places, is_bad=is_bad, ms=6)
            _counts(axes, found, level, span, size)
        return _drawn(figure, caption)


def _counts(axes: Axes, cells: Sequence[Cell], level: float, span: Span, size: Size, **how: Any) -> None:
    """How many a sign stands for, right of it, where the next sign and the picture's edge leave room."""
    letter = span.seconds(0.62 * size.font, size)
    last = span.edges[1] * DAY
    for cell, after in zip(cells, [*(cell.time for cell in cells[1:]), last], strict=False):
        text = f"×{cell.count}"
        if cell.count > 1 and cell.time + (len(text) + 2) * letter <= after:
            axes.annotate(
                text,
                (days(cell.time), level),
                (6, 0),
                textcoords="offset points",
                va="center",
                fontsize=0.85 * size.font,
                color=INK,
                annotation_clip=False,
                **how,
            )


def checked(
    caption: Caption,
    observed: Sequence[tuple[float, float, bool | None]],
    limits: Sequence[Value],
    *,
    span: Span,
    size: Size,
) -> str:
    """Draw what a rule saw each time, as (unix seconds, value, passed), against the limit that held.

    `passed` is None where the rule did not judge what it saw.
    """
    with _figure(size) as figure:
        axes = _axes(figure, size, span)
        _limit(axes, limits, span)
        for passed, shape, colour, word in _ANSWERS:
            seen: list[Value] = [(time, value) for time, value, is_passed in observed if is_passed is passed]
            if seen:
                times, values = _columns(seen)
                fill = colour if passed is False else "none"
                axes.plot(times, values, shape, color=colour, mfc=fill, ms=5, label=word)
        low, high = axes.get_ylim()
        axes.set_ylim(min(low, 0), max(high, 1e-9))
        _legend(axes, size)
        return _drawn(figure, caption)


@contextmanager
def _figure(size: Size) -> Iterator[Figure]:
    """A figure in which 72 points are an inch and a CSS pixel is a point, and text stays text."""
    matplotlib = load()
    settings = {
        "svg.fonttype": "none",
        "svg.hashsalt": "swiftdeploy",
        "text.parse_math": False,
        "path.simplify": False,
        "font.size": size.font,
        "timezone": "UTC",
    }
    with matplotlib.rc_context(settings), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a sign that the font lacks is the browser's to draw
        yield matplotlib.figure.Figure(figsize=(size.width / 72, size.height / 72), facecolor="none")


def load() -> Any:
    """Return matplotlib; raises UsageError where it is not installed."""
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    try:
        import matplotlib.figure
    except ImportError:
        raise UsageError(
            "the page's charts are drawn by matplotlib, which is not installed",
            f"{sys.executable} -m pip install 'swiftdeploy-tasks[report]'",
        ) from None
    return matplotlib


def _axes(figure: Figure, size: Size, span: Span, top: int = _TOP) -> Axes:
    """Axes at the same place in every picture of a size, so that their times stand below each other."""
    axes = figure.add_axes(
        (
            size.left / size.width,
            _BOTTOM / size.height,
            size.room / size.width,
            (size.height - top - _BOTTOM) / size.height,
        ),
        facecolor="none",
    )
    axes.set_xlim(*span.edges)
    axes.xaxis_date()
    _dates(axes, span, size)
    axes.grid(axis="y", color=FAINT, lw=0.6)
    axes.tick_params(colors=INK, length=3)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(INK)
    return axes


def _dates(axes: Axes, span: Span, size: Size) -> None:
    """As many times below the axis as fit, each whole within the picture."""
    from matplotlib.dates import MINUTELY, SECONDLY, AutoDateLocator, DateFormatter, num2date

    length = span.end - span.start
    date = "%m-%d" if size.width < WIDE.width and length < 300 * DAY else "%Y-%m-%d"
    form = "%H:%M:%S" if length < _MINUTES else "%H:%M" if length < 2 * DAY else date
    width = 0.62 * size.font * _LETTERS[form]
    locator = AutoDateLocator(minticks=2, maxticks=max(3, int(size.room / (width + 8))))  # type: ignore[no-untyped-call]
    locator.intervald |= {every: [1, 2, 5, 10, 20, 30] for every in (MINUTELY, SECONDLY)}
    first, last = span.edges
    ticks = [tick for tick in locator.tick_values(*num2date((first, last))) if first <= tick <= last]  # type: ignore[no-untyped-call]
    axes.set_xticks(ticks, map(DateFormatter(form), ticks))  # type: ignore[no-untyped-call]
    for tick, label in zip(ticks, axes.get_xticklabels(), strict=True):
        if (last - tick) / (last - first) * size.room + RIGHT < width / 2:
            label.set_horizontalalignment("right")


def _limit(axes: Axes, limits: Sequence[Value], span: Span, label: str = "limit") -> None:
    """The limits as they held, each until the next one."""
    if limits:
        times, values = _columns([*limits, (span.end, limits[-1][1])])
        dashes: tuple[float, tuple[float, float]] = (0, (2, 2))
        axes.plot(times, values, color=LIMIT, lw=1.2, ls=dashes, drawstyle="steps-post", label=label)


def _mark(axes: Axes, marks: Sequence[Mark], span: Span, size: Size) -> None:
    """A sign in a lane above the picture for each thing that happened; while they are few, a line from it.

    Where several would lie upon each other, one round sign stands for them, with their number.
    """
    top, lane = axes.get_xaxis_transform(), 1 + 8 / (size.height - _TOP - _BOTTOM)
    found = density.cells(
        [(mark.time, mark.count) for mark in marks], span.edges[0] * DAY, span.seconds(_CELL, size)
    )
    ends = [cell.time for cell in found[1:]] + [float("inf")]
    for cell, end in zip(found, ends, strict=False):
        held = [mark for mark in marks if cell.time <= mark.time < end]
        is_bad = any(mark.is_bad for mark in held)
        kinds = {mark.kind for mark in held}
        shape = SHAPES[kinds.pop()] if len(kinds) == 1 else "o"
        times, colour = [days(cell.time)], BAD if is_bad else INK
        if len(found) <= _MOST_RULED:
            axes.vlines(times, 0, 1, colors=colour, lw=0.8, ls=":", transform=top, zorder=1)
        _signs(axes, shape, (times, [lane]), is_bad=is_bad, ms=5, transform=top, clip_on=False)
    _counts(axes, found, lane, span, size, xycoords=top)


def _signs(
    axes: Axes, shape: str, places: tuple[list[float], list[float]], *, is_bad: bool, ms: float, **how: Any
) -> None:
    colour = BAD if is_bad else INK
    axes.plot(*places, shape, color=colour, mfc=colour if is_bad else "none", ms=ms, zorder=3, **how)


def _kinds(marks: Sequence[Mark]) -> Iterator[tuple[str, bool, list[tuple[float, int]]]]:
    """The (time, count) of each kind, those that went wrong apart."""
    for kind in SHAPES:
        for is_bad in (False, True):
            found = [(one.time, one.count) for one in marks if (one.kind, one.is_bad) == (kind, is_bad)]
            if found:
                yield kind, is_bad, found


def _legend(axes: Axes, size: Size) -> None:
    """What the lines mean, above the picture and the lane of its signs."""
    if axes.get_legend_handles_labels()[1]:
        axes.legend(
            loc="lower right",
            bbox_to_anchor=(1, 1 + 16 / (size.height - _TOP - _BOTTOM)),
            ncols=4,
            frameon=False,
            labelcolor=INK,
            borderpad=0,
            handlelength=2.4,
            columnspacing=0.8,
            handletextpad=0.5,
        )


def _columns(points: Sequence[Value]) -> tuple[list[float], list[float]]:
    times = [days(time) for time, _ in points]
    return times, [
        float("nan") if value is None else max(-HIGHEST, min(float(value), HIGHEST)) for _, value in points
    ]


def _drawn(figure: Figure, caption: Caption) -> str:
    out = io.StringIO()
    figure.savefig(out, format="svg", metadata={"Date": None})
    return inline.settle(out.getvalue(), name=caption.name, title=words.printable(caption.title))


def _short(text: str) -> str:
    """Text that fits beside an axis, in one line."""
    shown = " ".join(words.printable(text).split())
    return shown if len(shown) <= _LONGEST else f"{shown[: _LONGEST - 1]}…"

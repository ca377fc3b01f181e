"""Draws series, marks and observations as SVG elements; no two things differ by colour alone."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from swiftdeploy_tasks.report import formatting
from swiftdeploy_tasks.report.canvas import (
    HIGHEST,
    INK,
    Frame,
    add_legend,
    axes_of,
    canvas,
    days,
    drawable,
    element,
)
from swiftdeploy_tasks.report.marks import Mark
from swiftdeploy_tasks.report.rule_checks import Observation
from swiftdeploy_tasks.report.series import Point, Series

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe and Ito's colours; the page's style sheet names the same ones, and gives each another for the dark.
COLOURS = {"blue": "#0072b2", "green": "#009e73"}
LIMIT, BAD = "#d55e00", "#a8327d"
DASHES = {"blue": "-", "green": (0, (4, 2))}
SHAPES = {
    "deploy": "^",
    "promote": "D",
    "rollback": "v",
    "rolled back": "<",
    "refusal": "X",
    "chaos": "*",
    "interruption": "s",
}
ANSWERS = ((True, "o", INK, "passed"), (None, "1", INK, "not judged"), (False, "X", BAD, "failed"))
ABOVE_ALL_SHARES = 105
LONGEST_NAME = 60
# A limit so many times above the figures is not drawn, as it would flatten them.
FAR = 5
# More lines than these would hide the figures.
MOST_RULED = 30

Limits = Sequence[tuple[float, float]]
"""The limits of a rule, each from its time on."""


def draw_series(
    frame: Frame, series: Sequence[Series], *, limits: Limits = (), marks: Sequence[Mark] = ()
) -> str:
    """Draw a figure of each slot over time, with the limit that held and what happened."""
    are_shares = any(one.measured == "shares" for one in series)
    with canvas(frame) as figure:
        axes = axes_of(figure, frame)
        for one in series:
            axes.plot(
                *_path(one.points),
                color=COLOURS.get(one.slot, INK),
                ls=DASHES.get(one.slot, "-"),
                drawstyle="steps-post" if are_shares else "default",
                lw=1.8,
                zorder=3,
                solid_capstyle="round",
                dash_capstyle="round",
                label=_label(one.slot),
            )
        draw_limits(axes, limits, frame)
        _draw_lane(axes, marks, frame)
        highest = max((point.high for one in series for point in one.points), default=0.0)
        axes.set_ylim(0, ABOVE_ALL_SHARES if are_shares else _top(highest, limits))
        add_legend(axes, frame)
        return element(figure, frame)


def draw_marks(frame: Frame, marks: Sequence[Mark]) -> str:
    """Draw what happened when, a row a kind; what went wrong is filled, and lower in its row."""
    rows = list(SHAPES)

    def level(kind: str, is_bad: bool) -> float:
        return rows.index(kind) + (0.2 if is_bad else -0.2)

    with canvas(frame) as figure:
        axes = axes_of(figure, frame)
        axes.set_yticks(range(len(rows)), rows)
        axes.set_ylim(len(rows) - 0.4, -0.6)
        _draw_signs(axes, marks, level, ms=6)
        return element(figure, frame)


def draw_observations(frame: Frame, observations: Sequence[Observation], limits: Limits) -> str:
    """Draw what a rule observed each time, against the limit that held."""
    with canvas(frame) as figure:
        axes = axes_of(figure, frame)
        draw_limits(axes, limits, frame)
        for passed, shape, colour, label in ANSWERS:
            found = [one for one in observations if one.passed is passed]
            if found:
                times, figures = [days(one.at) for one in found], [drawable(one.figure) for one in found]
                fill = colour if passed is False else "none"
                axes.plot(times, figures, shape, color=colour, mfc=fill, ms=5, label=label)
        low, high = axes.get_ylim()
        axes.set_ylim(min(low, 0), max(high, 1e-9))
        add_legend(axes, frame)
        return element(figure, frame)


def _path(points: Iterable[Point]) -> tuple[list[float], list[float]]:
    """Return times and figures: of each point the lowest, the highest and the last, with a break in a gap."""
    times: list[float] = []
    figures: list[float] = []
    for point in points:
        values = [point.low, point.high, point.last]
        if point.is_after_gap:
            values.insert(0, math.nan)
        times += [days(point.at)] * len(values)
        figures += map(drawable, values)
    return times, figures


def _top(highest: float, limits: Limits) -> float:
    """Return the end of the axis: above the figures, and above the limits unless these are far away."""
    limit = max((limit for _, limit in limits), default=0.0)
    reached = highest if 0 < FAR * highest < limit else max(highest, limit)
    return max(1.15 * min(reached, HIGHEST), 1e-9)


def draw_limits(axes: Axes, limits: Limits, frame: Frame) -> None:
    """Draw the limits as they held, the first one from the start on."""
    if limits:
        times = [frame.time.since, *(at for at, _ in limits[1:]), frame.time.until]
        figures = [*(limit for _, limit in limits), limits[-1][1]]
        label = f"limit {formatting.figure(limits[-1][1])}"
        style: Any = {"color": LIMIT, "lw": 1.2, "ls": (0, (2, 2)), "drawstyle": "steps-post"}
        axes.plot([*map(days, times)], [*map(drawable, figures)], label=label, **style)


def _draw_lane(axes: Axes, marks: Sequence[Mark], frame: Frame) -> None:
    """Draw what happened in a lane above the figures; few marks have a line down to them."""
    transform, lane = axes.get_xaxis_transform(), 1 + 8 / frame.height
    if len(marks) <= MOST_RULED:
        times, colours = [days(mark.at) for mark in marks], [_colour(mark.is_bad) for mark in marks]
        axes.vlines(times, 0, 1, colors=colours, lw=0.8, ls=":", transform=transform, zorder=1)
    _draw_signs(axes, marks, lambda *_: lane, ms=5, transform=transform, clip_on=False)


def _draw_signs(axes: Axes, marks: Sequence[Mark], level: Callable[[str, bool], float], **how: Any) -> None:
    for kind, is_bad in itertools.product(SHAPES, (False, True)):
        times = [days(mark.at) for mark in marks if (mark.kind, mark.is_bad) == (kind, is_bad)]
        levels, colour = [level(kind, is_bad)] * len(times), _colour(is_bad)
        fill = colour if is_bad else "none"
        axes.plot(times, levels, SHAPES[kind], color=colour, mfc=fill, zorder=3, **how)


def _colour(is_bad: bool) -> str:
    return BAD if is_bad else INK


def _label(text: str) -> str:
    """Return a name in one line, without what cannot be printed."""
    return formatting.cut(" ".join(formatting.printable(text).split()), LONGEST_NAME)

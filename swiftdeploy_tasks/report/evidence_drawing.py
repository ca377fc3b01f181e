"""Draws evidence against its threshold, and the figures of two slots side by side, as SVG elements."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from swiftdeploy_tasks.report import formatting
from swiftdeploy_tasks.report.canvas import (
    HIGHEST,
    Frame,
    add_legend,
    axes_of,
    canvas,
    days,
    drawable,
    element,
)
from swiftdeploy_tasks.report.drawing import draw_limits

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Evidence so many times above its threshold, or more, is drawn there.
BEYOND = 10
MOST_DECADES = 5


@dataclass(frozen=True)
class Curve:
    """A line through figures over time; None is a figure that is not known, and breaks it."""

    label: str
    points: Sequence[tuple[float, float | None]]
    colour: str
    dash: Any


def draw_evidence(frame: Frame, lines: Sequence[Curve], threshold: float) -> str:
    """Draw evidence on a logarithmic axis from 1 to beyond the threshold, clipped to it."""
    highest = BEYOND * threshold
    with canvas(frame) as figure:
        axes = axes_of(figure, frame)
        _draw_lines(axes, [_clipped(line, highest) for line in lines])
        draw_limits(axes, [(frame.time.since, threshold)], frame)
        axes.set_yscale("log")
        decades = int(math.log10(highest)) + 1
        ticks = [10.0**power for power in range(0, decades, math.ceil(decades / MOST_DECADES))]
        axes.set_yticks(ticks, [formatting.figure(tick) for tick in ticks])
        axes.minorticks_off()
        axes.set_ylim(0.8, 1.25 * highest)
        add_legend(axes, frame, columns=2)
        return element(figure, frame)


def draw_lines(frame: Frame, lines: Sequence[Curve]) -> str:
    """Draw figures over time from 0 on."""
    with canvas(frame) as figure:
        axes = axes_of(figure, frame)
        _draw_lines(axes, lines)
        axes.set_ylim(0, max(1.15 * min(axes.get_ylim()[1], HIGHEST), 1e-9))
        add_legend(axes, frame)
        return element(figure, frame)


def _clipped(line: Curve, highest: float) -> Curve:
    return replace(
        line, points=[(at, e if e is None else min(max(e, 1.0), highest)) for at, e in line.points]
    )


def _draw_lines(axes: Axes, lines: Sequence[Curve]) -> None:
    for line in lines:
        times = [days(at) for at, _ in line.points]
        figures = [math.nan if figure is None else drawable(figure) for _, figure in line.points]
        axes.plot(times, figures, color=line.colour, ls=line.dash, lw=1.8, zorder=3, label=line.label)

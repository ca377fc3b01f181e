"""The empty chart: axes over a period, which become an SVG element. Loads matplotlib on first use.

No text is read as a formula.
"""

from __future__ import annotations

import io
import logging
import math
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from swiftdeploy_tasks.errors import UsageError
from swiftdeploy_tasks.report import formatting, svg
from swiftdeploy_tasks.report.period import Period

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, FAINT = "#24292f", "#c9d1d9"
DAY = 86_400.0
# In days: the calendar of the axis, with room for its margins and ticks.
EARLIEST, LATEST = -710_000.0, 2_925_000.0
# A figure beyond it is drawn there.
HIGHEST = 1e15
# Pixels around the axes.
TOP, BOTTOM, RIGHT = 40, 36, 16


@dataclass(frozen=True)
class Size:
    """The size of a chart in CSS pixels; `left` is for the names and figures beside the axis."""

    width: int
    height: int
    left: int
    font: float
    ticks: int
    top: int = TOP


WIDE, NARROW, SMALL = Size(900, 200, 84, 12, 8), Size(340, 190, 76, 11, 4), Size(340, 170, 52, 11, 4)


@dataclass(frozen=True)
class Frame:
    """What every chart has: a name that is unique on the page, a title, the time that it shows, a size."""

    name: str
    title: str
    time: Period
    size: Size

    @property
    def height(self) -> int:
        """The pixels of the axis of figures."""
        return self.size.height - self.size.top - BOTTOM


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


@contextmanager
def canvas(frame: Frame) -> Iterator[Figure]:
    """A figure in which 72 points are an inch and a CSS pixel is a point, and text stays text."""
    matplotlib = load()
    settings = {
        "svg.fonttype": "none",
        "svg.hashsalt": "swiftdeploy",
        "text.parse_math": False,
        "path.simplify": False,
        "font.size": frame.size.font,
        "timezone": "UTC",
    }
    size = frame.size.width / 72, frame.size.height / 72
    with matplotlib.rc_context(settings), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a sign that the font lacks is the browser's to draw
        yield matplotlib.figure.Figure(figsize=size, facecolor="none")


def axes_of(figure: Figure, frame: Frame) -> Axes:
    """Return axes at the same place in every chart of a size, so that their times stand below each other."""
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    size = frame.size
    left, bottom = size.left / size.width, BOTTOM / size.height
    width, height = (size.width - size.left - RIGHT) / size.width, frame.height / size.height
    axes = figure.add_axes((left, bottom, width, height), facecolor="none")
    margin = max((frame.time.until - frame.time.since) * 0.02, 1.0)
    first = min(days(frame.time.since - margin), LATEST - 1)
    axes.set_xlim(first, max(days(frame.time.until + margin), first + 2 / DAY))
    locator = AutoDateLocator(minticks=2, maxticks=size.ticks)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
    axes.grid(axis="y", color=FAINT, lw=0.6)
    axes.tick_params(colors=INK, length=3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(INK)
    return axes


def add_legend(axes: Axes, frame: Frame, *, columns: int = 4) -> None:
    """Add what the lines mean, above the figures and the lane of the marks."""
    if axes.get_legend_handles_labels()[1]:
        axes.legend(
            loc="lower right",
            bbox_to_anchor=(1, 1 + 16 / frame.height),
            ncols=columns,
            frameon=False,
            labelcolor=INK,
            borderpad=0,
            handlelength=2.4,
            columnspacing=0.8,
            handletextpad=0.5,
        )


def element(figure: Figure, frame: Frame) -> str:
    """Return the chart as an SVG element of a page."""
    out = io.StringIO()
    figure.savefig(out, format="svg", metadata={"Date": None})
    return svg.element(out.getvalue(), name=frame.name, title=formatting.printable(frame.title))


def days(at: float) -> float:
    """Return a time in days, or the nearest one that an axis can show."""
    return max(EARLIEST, min(at / DAY, LATEST))


def drawable(figure: float) -> float:
    """Return a figure, or the nearest one that an axis can show."""
    return figure if math.isnan(figure) else max(-HIGHEST, min(figure, HIGHEST))

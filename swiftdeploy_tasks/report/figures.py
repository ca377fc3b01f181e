"""What does a series look like? Values in, an SVG element for a page out.

The one room that draws, by matplotlib, which is loaded when the first picture is asked for. It stands apart
because it knows axes, colours and dashes and nothing of deployments. It refuses to join what is not known:
a gap stays a gap. What no axis can hold is drawn at its edge. No text is taken for a formula, and no colour
alone tells two things apart.
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
from swiftdeploy_tasks.report import inline, words

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Value = tuple[float, float | None]
DAY = 86_400.0
# In days: with room to the ends of the calendar, 0001 and 9999, for the margins and ticks of an axis.
EARLIEST, LATEST = -710_000.0, 2_925_000.0
HIGHEST = 1e15
# Okabe and Ito's colours; the page's style sheet names the same ones, and gives each another for the dark.
INK, FAINT = "#24292f", "#c9d1d9"
COLOURS = {"blue": "#0072b2", "green": "#009e73"}
LIMIT, BAD = "#d55e00", "#a8327d"
DASHES = {"blue": "-", "green": (0, (5, 1.5))}
SHAPES = {
    "deploy": "^",
    "promote": "D",
    "rollback": "v",
    "refusal": "X",
    "chaos": "*",
    "interruption": "s",
}
_ANSWERS = ((True, "o", INK, "passed"), (None, "1", INK, "not judged"), (False, "X", BAD, "failed"))
_LONGEST, _MINUTES = 60, 900


@dataclass(frozen=True)
class Size:
    """A picture's room in CSS pixels; `left` is for the names and figures beside the axis."""

    width: int
    height: int
    left: int
    font: float


WIDE, NARROW, SMALL = Size(900, 180, 84, 12.0), Size(340, 170, 76, 11.0), Size(340, 150, 52, 11.0)


@dataclass(frozen=True)
class Line:
    """One slot's series: (unix seconds, value), rising in time; None where nothing is known."""

    slot: str
    values: Sequence[Value]


@dataclass(frozen=True)
class Mark:
    """Something that happened: `kind` is a key of SHAPES, and `is_bad` whether it went wrong."""

    time: float
    kind: str
    is_bad: bool = False


@dataclass(frozen=True)
class Caption:
    """What a picture is called on its page: `name` starts its ids; `text` says in words what it shows."""

    name: str
    title: str
    text: str


@dataclass(frozen=True)
class Span:
    """The time that a picture shows, in unix seconds."""

    start: float
    end: float

    @property
    def edges(self) -> tuple[float, float]:
        """The ends of the axis in days: a little wider, and never without length."""
        margin = max((self.end - self.start) * 0.02, 1.0)
        first = min(_days(self.start - margin), LATEST - 1)
        return first, max(_days(self.end + margin), first + 2 / DAY)


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
    is changed; `top` is the axis' end, else it follows from the values.
    """
    with _figure(size) as figure:
        axes = _axes(figure, size, span)
        _mark(axes, marks)
        for line in lines:
            times, values = _columns(line.values)
            axes.plot(
                times,
                values,
                color=COLOURS.get(line.slot, INK),
                ls=DASHES.get(line.slot, "-"),
                lw=1.8,
                marker="." if len(times) < 30 and not is_stepped else "",
                drawstyle="steps-post" if is_stepped else "default",
                label=_short(line.slot),
                zorder=3,
            )
        _limit(axes, limits, span)
        axes.set_ylim(0, top or max(axes.get_ylim()[1], 1e-9))
        _legend(axes)
        return _drawn(figure, caption)


def occasions(caption: Caption, marks: Sequence[Mark], *, span: Span, size: Size) -> str:
    """Draw when each kind of thing happened, a row a kind; what went wrong is filled with another colour."""
    with _figure(size) as figure:
        axes = _axes(figure, size, span)
        rows = list(SHAPES)
        axes.set_yticks(range(len(rows)), rows)
        axes.set_ylim(len(rows) - 0.5, -0.5)
        for kind, is_bad, times in _kinds(marks):
            places = (times, [float(rows.index(kind))] * len(times))
            _signs(axes, kind, places, is_bad=is_bad, ms=7)
        return _drawn(figure, caption)


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
        _legend(axes)
        return _drawn(figure, caption)


@contextmanager
def _figure(size: Size) -> Iterator[Figure]:
    """A figure in which 72 points are an inch and a CSS pixel is a point, and text stays text."""
    matplotlib = load()
    settings = {
        "svg.fonttype": "none",
        "svg.hashsalt": "swiftdeploy",
        "text.parse_math": False,
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


def _axes(figure: Figure, size: Size, span: Span) -> Axes:
    """Axes at the same place in every picture of a size, so that their times stand below each other."""
    top, right, bottom = 30, 16, 24
    axes = figure.add_axes(
        (
            size.left / size.width,
            bottom / size.height,
            (size.width - size.left - right) / size.width,
            (size.height - top - bottom) / size.height,
        ),
        facecolor="none",
    )
    axes.set_xlim(*span.edges)
    axes.xaxis_date()
    axes.xaxis.set_major_locator(_locator(size))
    axes.xaxis.set_major_formatter(_formatter(span))
    axes.grid(axis="y", color=FAINT, lw=0.6)
    axes.tick_params(colors=INK, length=3)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(INK)
    return axes


def _locator(size: Size) -> Any:
    from matplotlib.dates import AutoDateLocator

    return AutoDateLocator(minticks=2, maxticks=max(3, size.width // 90))  # type: ignore[no-untyped-call]


def _formatter(span: Span) -> Any:
    from matplotlib.dates import DateFormatter

    length = span.end - span.start
    form = "%H:%M:%S" if length < _MINUTES else "%H:%M" if length < 2 * DAY else "%Y-%m-%d"
    return DateFormatter(form)  # type: ignore[no-untyped-call]


def _limit(axes: Axes, limits: Sequence[Value], span: Span) -> None:
    """The limits as they held, each until the next one."""
    if limits:
        times, values = _columns([*limits, (span.end, limits[-1][1])])
        dashes: tuple[float, tuple[float, float]] = (0, (2, 2))
        axes.plot(times, values, color=LIMIT, lw=1.2, ls=dashes, drawstyle="steps-post", label="limit")


def _mark(axes: Axes, marks: Sequence[Mark]) -> None:
    """A line down from the sign of each thing that happened, at the top edge."""
    top = axes.get_xaxis_transform()
    for kind, is_bad, times in _kinds(marks):
        colour = BAD if is_bad else INK
        axes.vlines(times, 0, 1, colors=colour, lw=0.8, ls=":", transform=top, zorder=1)
        _signs(axes, kind, (times, [1.0] * len(times)), is_bad=is_bad, ms=5, transform=top, clip_on=False)


def _signs(
    axes: Axes, kind: str, places: tuple[list[float], list[float]], *, is_bad: bool, ms: float, **how: Any
) -> None:
    colour = BAD if is_bad else INK
    axes.plot(*places, SHAPES[kind], color=colour, mfc=colour if is_bad else "none", ms=ms, zorder=3, **how)


def _kinds(marks: Sequence[Mark]) -> Iterator[tuple[str, bool, list[float]]]:
    """The times, in days, of each kind, those that went wrong apart."""
    for kind in SHAPES:
        for is_bad in (False, True):
            times = [_days(mark.time) for mark in marks if (mark.kind, mark.is_bad) == (kind, is_bad)]
            if times:
                yield kind, is_bad, times


def _legend(axes: Axes) -> None:
    """What the lines mean, above the picture, where no line goes."""
    if axes.get_legend_handles_labels()[1]:
        axes.legend(
            loc="lower right",
            bbox_to_anchor=(1, 1.04),
            ncols=4,
            frameon=False,
            labelcolor=INK,
            borderpad=0,
            handlelength=2.4,
            columnspacing=0.8,
            handletextpad=0.5,
        )


def _columns(points: Sequence[Value]) -> tuple[list[float], list[float]]:
    times = [_days(time) for time, _ in points]
    return times, [
        float("nan") if value is None else max(-HIGHEST, min(float(value), HIGHEST)) for _, value in points
    ]


def _days(time: float) -> float:
    """A time in days, or the nearest one that an axis can show."""
    return max(EARLIEST, min(time / DAY, LATEST))


def _drawn(figure: Figure, caption: Caption) -> str:
    out = io.StringIO()
    figure.savefig(out, format="svg", metadata={"Date": None})
    title, text = words.printable(caption.title), words.printable(caption.text)
    return inline.settle(out.getvalue(), name=caption.name, title=title, text=text)


def _short(text: str) -> str:
    """Text that fits beside an axis, in one line."""
    shown = " ".join(words.printable(text).split())
    return shown if len(shown) <= _LONGEST else f"{shown[: _LONGEST - 1]}…"

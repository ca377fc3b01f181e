"""A chart shows what was measured: the lowest and the highest figure, limits and gaps."""

from __future__ import annotations

import re
import subprocess
import sys
from itertools import pairwise
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swiftdeploy_tasks.errors import UsageError
from swiftdeploy_tasks.report.canvas import BOTTOM, DAY, INK, NARROW, RIGHT, SMALL, TOP, WIDE, Frame, Size
from swiftdeploy_tasks.report.drawing import (
    ABOVE_ALL_SHARES,
    BAD,
    COLOURS,
    LIMIT,
    MOST_RULED,
    SHAPES,
    Limits,
    draw_marks,
    draw_observations,
    draw_series,
)
from swiftdeploy_tasks.report.marks import Mark
from swiftdeploy_tasks.report.period import Period
from swiftdeploy_tasks.report.rule_checks import Observation
from swiftdeploy_tasks.report.series import Measured, Point, Series

TIME = Period(1_764_000_000.0, 1_764_000_600.0)
FRAME = Frame("one", "Requests", TIME, WIDE)


def at(*values: float | None) -> list[tuple[float, float | None]]:
    step = 600 / max(len(values) - 1, 1)
    return [(TIME.since + step * place, value) for place, value in enumerate(values)]


def line(*values: float | None, slot: str = "blue", measured: Measured = "shares") -> Series:
    """A series; shares have an axis that the figures do not change."""
    points: list[Point] = []
    is_after_gap = True
    for time, value in at(*values):
        if value is not None:
            points.append(Point(time, value, value, value, is_after_gap))
        is_after_gap = value is None
    return Series(slot, measured, tuple(points))


def drawn(series: Series, *, limits: Limits = (), marks: tuple[Mark, ...] = ()) -> ElementTree.Element:
    return ElementTree.fromstring(draw_series(FRAME, [series], limits=limits, marks=marks))


def paths(root: ElementTree.Element, colour: str) -> list[list[tuple[float, float]]]:
    """The lines of a colour, each as its points; a line with a gap is more than one."""
    found = [
        element.get("d", "")
        for element in root.iter()
        if element.get("stroke") == colour and element.get("clip-path") and element.tag.endswith("}path")
    ]
    lines = [line for path in found for line in path.split("M ") if line]
    return [[(float(x), float(y)) for x, y in re.findall(r"(-?[\d.]+) (-?[\d.]+)", line)] for line in lines]


def signs(root: ElementTree.Element, *colours: str) -> list[float]:
    """The heights at which signs of these colours stand."""
    found = (one for one in root.iter() if one.tag.endswith("}use") and one.get("stroke") in colours)
    return [float(one.get("y", 0)) for one in found]


def height(value: float) -> float:
    """Where a share stands in the chart, in its own pixels from the top."""
    bottom = WIDE.height - BOTTOM
    return bottom - value / ABOVE_ALL_SHARES * (bottom - TOP)


def test_a_gap_is_a_gap_and_no_line_is_drawn_over_it() -> None:
    left, right = paths(drawn(line(10, 20, None, 30, 40)), COLOURS["blue"])
    assert {round(y) for _, y in left} == {round(height(10)), round(height(20))}
    assert {round(y) for _, y in right} == {round(height(30)), round(height(40))}


def test_a_point_between_gaps_is_a_line_of_its_own_that_has_a_length_in_its_path() -> None:
    lines = paths(drawn(line(10, None, 99, None, 10)), COLOURS["blue"])
    assert [len(one) >= 2 for one in lines] == [True, True, True]
    assert {round(y) for _, y in lines[1]} == {round(height(99))}


@settings(max_examples=8, deadline=None)
@given(st.lists(st.floats(0, 90), min_size=20, max_size=600), st.integers(0, 19), st.floats(91, 100))
def test_the_peak_of_a_series_is_drawn_at_its_height(values: list[float], place: int, peak: float) -> None:
    values[place] = peak
    lines = paths(drawn(line(*values)), COLOURS["blue"])
    assert abs(min(y for one in lines for _, y in one) - height(peak)) <= 0.2


def test_a_bucket_is_drawn_from_its_lowest_to_its_highest_figure() -> None:
    bucket = Series("blue", "shares", (Point(TIME.since, 10, 90, 50, True), Point(TIME.until, 50, 50, 50)))
    reached = {round(y) for one in paths(drawn(bucket), COLOURS["blue"]) for _, y in one}
    assert {round(height(10)), round(height(90)), round(height(50))} <= reached


def test_many_marks_draw_no_lines_over_the_figures() -> None:
    def ruled(many: int) -> int:
        marks = tuple(Mark(TIME.since + 600 * n / many, "deploy", is_bad=False) for n in range(many))
        return len(paths(drawn(line(1, 2), marks=marks), INK))

    assert (ruled(MOST_RULED), ruled(MOST_RULED + 1)) == (MOST_RULED, 0)


def test_what_went_well_is_not_hidden_by_what_went_wrong() -> None:
    marks = [Mark(TIME.since + 100, "deploy", is_bad) for is_bad in (False, True)]
    root = ElementTree.fromstring(draw_marks(FRAME, marks))
    assert min(signs(root, BAD)) - min(signs(root, INK)) >= 5


@pytest.mark.parametrize("length", [10.0, 60.0, 850.0, 7200.0, 5.3 * 86_400, 200 * 86_400.0, 3e8], ids=str)
@pytest.mark.parametrize("size", [WIDE, NARROW, SMALL], ids=["wide", "narrow", "small"])
def test_the_times_below_a_chart_do_not_overlap_and_are_more_than_one(length: float, size: Size) -> None:
    frame = Frame("one", "Requests", Period(TIME.since, TIME.since + length), size)
    root = ElementTree.fromstring(draw_marks(frame, []))
    ends = []
    for one in root.iter():
        if one.tag.endswith("}text") and one.get("text-anchor") == "middle":
            width = 0.6 * size.font * len(one.text or "")
            ends.append((float(one.get("x", 0)) - width / 2, float(one.get("x", 0)) + width / 2))
    assert len(ends) >= 2
    assert max(right for _, right in ends) <= size.width
    assert all(right < left for (_, right), (left, _) in pairwise(sorted(ends)))


def test_a_limit_far_above_the_figures_is_named_and_does_not_flatten_them() -> None:
    root = drawn(line(1, 4.95, 3, measured="rate"), limits=[(TIME.since, 500.0)])
    assert "limit 500" in {one.text for one in root.iter()}
    assert min(y for one in paths(root, COLOURS["blue"]) for _, y in one) < height(50)


def test_a_limit_is_drawn_where_it_lies_and_moves_when_it_was_changed() -> None:
    (limit,) = paths(drawn(line(1, 2), limits=[(TIME.since, 50.0), (TIME.since + 300, 80.0)]), LIMIT)
    assert {round(y) for _, y in limit} == {round(height(50)), round(height(80))}


def test_what_happened_stands_at_its_time_with_its_own_sign() -> None:
    moment = TIME.since + 200
    marks = [Mark(moment, kind, kind == "chaos") for kind in SHAPES]
    root = ElementTree.fromstring(draw_marks(FRAME, marks))
    placed = [element for element in root.iter() if element.tag.endswith("}use") and element.get("x")]
    first, last = TIME.since - 12, TIME.until + 12
    there = WIDE.left + (moment - first) / (last - first) * (WIDE.width - RIGHT - WIDE.left)
    shapes = [sign.get("href") for sign in placed if abs(float(sign.get("x", 0)) - there) <= 0.2]
    assert len(shapes) == len(set(shapes)) == len(SHAPES)


HOSTILE = {
    "a formula": "$x^2$",
    "control characters": "\x00\x1b[31m",
    "markup": "<b>&\"'",
    "four bytes": "💥" * 50,
    "half a character": "\ud800",
    "a long word": "w" * 500,
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a_name_is_shown_as_text_whatever_it_is(text: str) -> None:
    shown = "".join(element.text or "" for element in drawn(line(1, 2, slot=text)).iter())
    assert text[:1] in shown or "\ufffd" in shown


@pytest.mark.parametrize("extreme", [1e308, sys.float_info.max, float("inf")], ids=str)
def test_a_figure_beyond_all_axes_can_be_drawn(extreme: float) -> None:
    limits = [(TIME.since, extreme), (TIME.until, -extreme)]
    series = draw_series(FRAME, [line(1, extreme, -extreme, measured="rate")], limits=limits)
    found = [Observation(at, figure, None, True) for at, figure in limits]
    for chart in (series, draw_observations(FRAME, found, limits)):
        assert "nan" not in chart
        assert "1e15" in chart


@pytest.mark.parametrize("days", [-719_162, 0, 2_932_896], ids=["first day", "1970", "last day"])
def test_a_moment_without_length_can_be_drawn_on_every_day_of_the_calendar(days: int) -> None:
    frame = Frame("one", "Requests", Period(days * DAY, days * DAY), WIDE)
    draw_series(frame, [line(1, 2)])
    draw_marks(frame, [])


def test_without_the_charting_library_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(UsageError, match="not installed") as caught:
        draw_marks(FRAME, [])
    assert caught.value.next == f"{sys.executable} -m pip install 'swiftdeploy-tasks[report]'"


def test_the_page_is_laid_out_without_loading_the_charting_library() -> None:
    program = "import sys, swiftdeploy_tasks.report.page; print('matplotlib' in sys.modules)"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "False"


def test_the_same_values_make_the_same_chart() -> None:
    marks = (Mark(TIME.since + 9, "deploy", is_bad=False),)
    one, other = (draw_series(FRAME, [line(1, 2)], marks=marks) for _ in range(2))
    assert one == other

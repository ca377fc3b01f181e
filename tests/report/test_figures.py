"""A picture shows what was measured: peaks, limits and gaps, and nothing in between."""

from __future__ import annotations

import re
import subprocess
import sys
from itertools import pairwise
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swiftdeploy_tasks.errors import UsageError
from swiftdeploy_tasks.report import density, figures
from swiftdeploy_tasks.report.density import DAY, WIDE, Span, Value
from swiftdeploy_tasks.report.figures import BAD, COLOURS, INK, LIMIT, Caption, Line, Mark

SPAN = Span(1_764_000_000.0, 1_764_000_600.0)
CAPTION = Caption("one", "Requests")
TOP = 100.0
KINDS = ("deploy", "refusal", "chaos")
SMALL: dict[str, Any] = {"span": SPAN, "size": density.SMALL}


def drawn(values: list[Value], **more: object) -> ElementTree.Element:
    options: dict[str, object] = {"span": SPAN, "size": WIDE, "top": TOP, **more}
    return ElementTree.fromstring(figures.course(CAPTION, [Line("blue", values)], **options))  # type: ignore[arg-type]


def paths(root: ElementTree.Element, colour: str) -> list[list[tuple[float, float]]]:
    """The lines of a colour, each as its points; a line that was lifted is more than one."""
    found = [
        element.get("d", "")
        for element in root.iter()
        if element.get("stroke") == colour and element.get("clip-path") and element.tag.endswith("}path")
    ]
    lines = [line for path in found for line in path.split("M ") if line]
    return [[(float(x), float(y)) for x, y in re.findall(r"(-?[\d.]+) (-?[\d.]+)", line)] for line in lines]


def height(value: float) -> float:
    """Where a value stands in the picture, in its own pixels from the top."""
    bottom, top = WIDE.height - 24, 40
    return bottom - value / TOP * (bottom - top)


def at(*values: float | None) -> list[Value]:
    step = 600 / max(len(values) - 1, 1)
    return [(SPAN.start + step * place, value) for place, value in enumerate(values)]


def test_a_gap_is_a_gap_and_no_line_is_drawn_over_it() -> None:
    (left, right) = paths(drawn(at(10, 20, None, 30, 40)), COLOURS["blue"])
    assert [round(y) for _, y in left] == [round(height(10)), round(height(20))]
    assert [round(y) for _, y in right] == [round(height(30)), round(height(40))]


@settings(max_examples=8, deadline=None)
@given(st.lists(st.floats(0, 90), min_size=20, max_size=600), st.integers(0, 19), st.floats(91, 100))
def test_the_peak_of_a_series_is_drawn_at_its_height_however_long_it_is(
    values: list[float], place: int, peak: float
) -> None:
    values[place] = peak
    lines = paths(drawn(at(*values)), COLOURS["blue"])
    assert abs(min(y for line in lines for _, y in line) - height(peak)) <= 0.2


def test_a_series_that_is_too_dense_for_a_line_is_drawn_in_columns_from_its_lowest_to_its_highest() -> None:
    values = [50.0 + (-40 if n % 7 == 0 else 40 if n % 5 == 0 else 0) for n in range(2000)]
    blue = paths(drawn(at(*values)), COLOURS["blue"])
    reached = [tuple(sorted(round(y) for _, y in line)) for line in blue]
    assert reached.count((round(height(90)), round(height(10)))) > 0.95 * len(blue)
    flat = paths(drawn(at(*[50.0] * 2000)), COLOURS["blue"])
    assert len(flat) == len(blue) > 150
    line = Line("green", at(*values))
    dashed = ElementTree.fromstring(figures.course(CAPTION, [line], span=SPAN, size=WIDE, top=TOP))
    assert 0.4 < len(paths(dashed, COLOURS["green"])) / len(blue) < 0.6


def signs(root: ElementTree.Element, *colours: str) -> list[float]:
    """The heights at which signs of these colours stand."""
    found = (one for one in root.iter() if one.tag.endswith("}use") and one.get("stroke") in colours)
    return [float(one.get("y", 0)) for one in found]


def test_a_peak_that_stands_alone_between_gaps_can_be_seen() -> None:
    few = at(*([10.0, 10.0, None] * 20), 50.0, None, 99.0, None, *([10.0, 10.0, None] * 20))
    standing = {round(y) for y in signs(drawn(few), COLOURS["blue"])}
    assert {round(height(99)), round(height(50))} <= standing
    many = at(*([10.0] * 400), None, 99.0, None, *([10.0] * 400))
    assert min(y for line in paths(drawn(many), COLOURS["blue"]) for _, y in line) <= height(98.8)


def test_things_of_one_moment_are_one_sign_with_their_number_in_a_lane_above_the_data() -> None:
    def lane(apart: float) -> tuple[int, str]:
        marks = [Mark(SPAN.start + 100 + apart * n, kind, kind == "refusal") for n, kind in enumerate(KINDS)]
        root = drawn(at(1, 2), marks=marks)
        over = [y for y in signs(root, INK, BAD) if 10 < y < height(TOP)]
        return len(over), "".join(one.text or "" for one in root.iter())

    together, words = lane(0.1)
    assert together == 1 and "×3" in words
    apart, words = lane(100.0)
    assert apart == len(KINDS) and "×" not in words


def test_many_things_draw_no_lines_over_the_data() -> None:
    def ruled(many: int) -> int:
        marks = [Mark(SPAN.start + 600 * n / many, "deploy") for n in range(many)]
        return len(paths(drawn(at(1, 2), marks=marks), INK))

    assert (ruled(20), ruled(400)) == (20, 0)


def test_what_went_well_is_not_hidden_by_what_went_wrong() -> None:
    marks = [Mark(SPAN.start + 100, "deploy", is_bad) for is_bad in (False, True)]
    root = ElementTree.fromstring(figures.occasions(CAPTION, marks, span=SPAN, size=WIDE))
    well, wrong = signs(root, INK), signs(root, BAD)
    assert min(wrong) - min(well) >= 5


LENGTHS = [2.0, 60.0, 850.0, 7200.0, 5.3 * 86_400, 200 * 86_400.0, 3e8]


@pytest.mark.parametrize("length", LENGTHS, ids=str)
@pytest.mark.parametrize("size", [WIDE, density.NARROW, density.SMALL], ids=["wide", "narrow", "small"])
def test_the_times_below_a_picture_are_whole_and_more_than_one(length: float, size: density.Size) -> None:
    span = Span(SPAN.start, SPAN.start + length)
    root = ElementTree.fromstring(figures.occasions(CAPTION, [], span=span, size=size))
    ends = []
    for one in root.iter():
        if one.tag.endswith("}text") and re.search(r"\d", one.text or ""):
            width = 0.6 * size.font * len(one.text or "")
            right = float(one.get("x", 0)) + {"middle": width / 2, "end": 0}[one.get("text-anchor", "")]
            ends.append((right - width, right))
    assert len(ends) >= 2
    assert max(right for _, right in ends) <= size.width
    assert all(right < left for (_, right), (left, _) in pairwise(sorted(ends)))


def test_a_limit_far_above_the_data_is_named_and_does_not_flatten_it() -> None:
    root = drawn(at(1, 4.95, 3), top=None, limits=[(SPAN.start, 500.0)])
    assert "limit, far above" in {one.text for one in root.iter()}
    assert min(y for line in paths(root, COLOURS["blue"]) for _, y in line) < height(TOP / 2)


def test_a_limit_is_drawn_where_it_lies_and_moves_when_it_was_changed() -> None:
    limits: list[Value] = [(SPAN.start, 50.0), (SPAN.start + 300, 80.0)]
    (line,) = paths(drawn(at(1, 2), limits=limits), LIMIT)
    assert {round(y) for _, y in line} == {round(height(50)), round(height(80))}


def test_what_happened_stands_at_its_time_with_its_own_sign() -> None:
    moment = SPAN.start + 200
    marks = [Mark(moment, kind, kind == "chaos") for kind in figures.SHAPES]
    root = ElementTree.fromstring(figures.occasions(CAPTION, marks, span=SPAN, size=WIDE))
    signs = [element for element in root.iter() if element.tag.endswith("}use") and element.get("x")]
    first, last = (edge * DAY for edge in SPAN.edges)
    there = WIDE.left + (moment - first) / (last - first) * (WIDE.width - 16 - WIDE.left)
    placed = [sign.get("href") for sign in signs if abs(float(sign.get("x", 0)) - there) <= 0.2]
    assert len(placed) == len(set(placed)) == len(figures.SHAPES)


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
    line = Line(text, at(1, 2))
    root = ElementTree.fromstring(figures.course(CAPTION, [line], span=SPAN, size=WIDE))
    shown = "".join(element.text or "" for element in root.iter())
    assert text[:1] in shown or "\ufffd" in shown


@pytest.mark.parametrize("extreme", [1e308, sys.float_info.max, float("inf")], ids=str)
def test_a_figure_beyond_all_axes_can_be_drawn(extreme: float) -> None:
    values: list[Value] = at(1, extreme, -extreme)
    one = Line("blue", values)
    drawn = figures.course(CAPTION, [one], span=SPAN, size=WIDE, limits=values)
    checked = figures.checked(CAPTION, [(time, value or 0, True) for time, value in values], values, **SMALL)
    for picture in (drawn, checked):
        assert "nan" not in picture
        assert "1e15" in picture


def test_a_moment_without_length_and_a_series_without_figures_can_be_drawn() -> None:
    moment = Span(SPAN.start, SPAN.start)
    figures.course(CAPTION, [Line("blue", [(SPAN.start, None)])], span=moment, size=WIDE)
    figures.occasions(CAPTION, [], span=moment, size=WIDE)


def test_without_the_charting_library_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(UsageError, match="not installed") as caught:
        figures.occasions(CAPTION, [], span=SPAN, size=WIDE)
    assert caught.value.next == f"{sys.executable} -m pip install 'swiftdeploy-tasks[report]'"


def test_the_page_is_laid_out_without_loading_the_charting_library() -> None:
    program = "import sys, swiftdeploy_tasks.report.page; print('matplotlib' in sys.modules)"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "False"


def test_the_same_values_make_the_same_picture() -> None:
    marks = [Mark(SPAN.start + 9, "deploy")]
    line = Line("blue", at(1, 2))
    one, other = (figures.course(CAPTION, [line], span=SPAN, size=WIDE, marks=marks) for _ in range(2))
    assert one == other

"""A picture shows what was measured: peaks, limits and gaps, and nothing in between."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swiftdeploy_tasks.errors import UsageError
from swiftdeploy_tasks.report import figures
from swiftdeploy_tasks.report.figures import COLOURS, LIMIT, WIDE, Caption, Line, Mark, Span, Value

SPAN = Span(1_764_000_000.0, 1_764_000_600.0)
CAPTION = Caption("one", "Requests", "text")
TOP = 100.0
SMALL: dict[str, Any] = {"span": SPAN, "size": figures.SMALL}


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
    bottom, top = WIDE.height - 24, 30
    return bottom - value / TOP * (bottom - top)


def at(*values: float | None) -> list[Value]:
    step = 600 / max(len(values) - 1, 1)
    return [(SPAN.start + step * place, value) for place, value in enumerate(values)]


def test_a_gap_is_a_gap_and_no_line_is_drawn_over_it() -> None:
    (left, right) = paths(drawn(at(10, 20, None, 30, 40)), COLOURS["blue"])
    assert [round(y) for _, y in left] == [round(height(10)), round(height(20))]
    assert [round(y) for _, y in right] == [round(height(30)), round(height(40))]


@settings(max_examples=8, deadline=None)
@given(st.lists(st.floats(0, 90), min_size=300, max_size=600), st.integers(0, 299), st.floats(91, 100))
def test_the_peak_of_a_long_series_is_drawn_at_its_height(
    values: list[float], place: int, peak: float
) -> None:
    values[place] = peak
    (line,) = paths(drawn(at(*values)), COLOURS["blue"])
    assert abs(min(y for _, y in line) - height(peak)) <= 0.2


def test_a_limit_is_drawn_where_it_lies_and_moves_when_it_was_changed() -> None:
    limits: list[Value] = [(SPAN.start, 50.0), (SPAN.start + 300, 80.0)]
    (line,) = paths(drawn(at(1, 2), limits=limits), LIMIT)
    assert {round(y) for _, y in line} == {round(height(50)), round(height(80))}


def test_what_happened_stands_at_its_time_with_its_own_sign() -> None:
    moment = SPAN.start + 200
    marks = [Mark(moment, kind, kind == "chaos") for kind in figures.SHAPES]
    root = ElementTree.fromstring(figures.occasions(CAPTION, marks, span=SPAN, size=WIDE))
    signs = [element for element in root.iter() if element.tag.endswith("}use") and element.get("x")]
    first, last = (edge * figures.DAY for edge in SPAN.edges)
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

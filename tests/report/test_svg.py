"""A drawing becomes a part of a page, and brings no style, no name and no fetch of its own."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from swiftdeploy_tasks.report import svg

FILE = """<?xml version="1.0"?>
<svg xmlns:xlink="http://www.w3.org/1999/xlink" width="9pt" height="9pt" viewBox="0 0 9 9"
 xmlns="http://www.w3.org/2000/svg" version="1.1">
 <metadata><a/></metadata><defs><style>* {{}}</style><path id="dot" d="M 0.123456 1"/></defs>
 <g id="unused"><use xlink:href="#dot" style="stroke: #ff0000; font-family: Mine; stroke-width: 0.8"/></g>
 {more}</svg>"""


def settled(name: str = "one", more: str = "", title: str = "T") -> ElementTree.Element:
    return ElementTree.fromstring(svg.element(FILE.format(more=more), name=name, title=title))


def test_styles_become_attributes_that_a_style_sheet_can_override() -> None:
    use = next(element for element in settled().iter() if element.tag.endswith("}use"))
    assert use.attrib == {"href": "#one-dot", "stroke": "#ff0000", "stroke-width": "0.8"}


def test_names_are_the_drawings_own_and_only_those_that_are_used_stay() -> None:
    names = {element.get("id") for element in settled("two").iter()} - {None}
    assert names == {"two-dot", "two-title"}


def test_it_is_an_image_with_a_name_whatever_it_holds_and_nothing_in_it_is_read_aloud() -> None:
    hostile = '</title><script>"&'
    root = settled(title=hostile)
    assert (root.get("role"), root.get("aria-labelledby")) == ("img", "one-title")
    title, *parts = root
    assert title.text == hostile
    assert parts and all(part.get("aria-hidden") == "true" for part in parts)
    assert {"width", "height"}.isdisjoint(root.keys())


@pytest.mark.parametrize("element", ["script", "image", "foreignObject", "a", "animate"])
def test_an_element_that_does_more_than_draw_is_refused(element: str) -> None:
    with pytest.raises(ValueError, match=f"<{element}>"):
        settled(more=f"<g><{element}/></g>")


def test_coordinates_lose_invisible_digits() -> None:
    path = next(element for element in settled().iter() if element.tag.endswith("}path"))
    assert path.get("d") == "M 0.1 1"

"""Embeds an SVG drawing into a page that allows no style attribute, script or fetch.

Styles become presentation attributes, which the page's style sheet can override, and ids get a prefix. An
unknown element is an error.
"""

from __future__ import annotations

import re
from xml.etree import ElementTree

SVG = "{http://www.w3.org/2000/svg}"
LINK = "{http://www.w3.org/1999/xlink}href"
KNOWN = frozenset({"svg", "g", "defs", "path", "use", "text", "tspan", "clipPath", "rect", "title", "desc"})
_DROPPED = frozenset({"metadata", "style"})
_PAGES_OWN = frozenset({"font", "font-family"})
_REFERENCE = re.compile(r"#([^)\s]+)")
_NUMBER = re.compile(r"-?\d+\.\d+")


def element(document: str, *, name: str, title: str) -> str:
    """Return an SVG document as an element of a page: an image called `title`.

    A screen reader reads nothing else of it, as the page says it in words. `name` is unique on the page, and
    a valid start of an id. Raises ValueError for an element that does not belong in a drawing.
    """
    root = ElementTree.fromstring(document)  # noqa: S314  (drawn here a moment ago)
    _drop(root)
    used = {found for part in root.iter() for found in _references(part)}
    for part in root.iter():
        _make_plain(part, name, used)
    for attribute in ("width", "height", "version"):
        root.attrib.pop(attribute, None)
    root.attrib |= {"role": "img", "aria-labelledby": f"{name}-title"}
    for part in root:
        part.set("aria-hidden", "true")
    named = ElementTree.Element(SVG + "title", {"id": f"{name}-title"})
    named.text = title
    root.insert(0, named)
    ElementTree.register_namespace("", SVG[1:-1])
    return ElementTree.tostring(root, encoding="unicode")


def _drop(parent: ElementTree.Element) -> None:
    for child in list(parent):
        tag = child.tag.removeprefix(SVG)
        if tag in _DROPPED:
            parent.remove(child)
        elif tag not in KNOWN:
            raise ValueError(f"a drawing may not hold <{tag}>")
        else:
            _drop(child)


def _references(element: ElementTree.Element) -> set[str]:
    values = (value for key, value in element.attrib.items() if key in {LINK, "clip-path"})
    return {found for value in values for found in _REFERENCE.findall(value)}


def _make_plain(element: ElementTree.Element, name: str, used: set[str]) -> None:
    """Turn the styles of an element into attributes, prefix its ids, and round its coordinates."""
    attributes = element.attrib
    for part in attributes.pop("style", "").split(";"):
        key, _, value = (word.strip() for word in part.partition(":"))
        if value and key not in _PAGES_OWN:
            attributes[key] = value
    own = attributes.pop("id", "")
    if own in used:
        attributes["id"] = f"{name}-{own}"
    if link := attributes.pop(LINK, ""):
        attributes["href"] = link
    for key in ("href", "clip-path"):
        if key in attributes:
            attributes[key] = attributes[key].replace("#", f"#{name}-")
    for key in ("d", "x", "y", "transform"):
        if key in attributes:
            attributes[key] = " ".join(_NUMBER.sub(_rounded, attributes[key]).split())
    if not (element.text or "").strip():
        element.text = None
    element.tail = None


def _rounded(number: re.Match[str]) -> str:
    return f"{float(number[0]):.1f}".removesuffix(".0")

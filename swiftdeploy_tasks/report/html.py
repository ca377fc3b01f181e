"""Fills an HTML template: every value is escaped, and the page may load and run nothing.

The content security policy allows one style sheet, by its digest.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from swiftdeploy_tasks.proxy import templates
from swiftdeploy_tasks.report import formatting

STYLE = "page.css"
_LONG = re.compile(r"_(?=\S)|[^\s_]{16}(?=\S)")


def fill(name: str, values: Mapping[str, Any], *, folders: tuple[Path, ...]) -> str:
    """Return the page that a template makes of these values; folders as in `artifacts`.

    Values of the type `Drawing` are not escaped.
    """
    from markupsafe import Markup

    def shown(value: object) -> object:
        if isinstance(value, Drawing):
            return Markup(value.element)  # noqa: S704  (made by `svg`, which lets nothing else through)
        return value if isinstance(value, Markup | int | float) else formatting.printable(str(value))

    environment = templates.environment(folders, autoescape=True, finalize=shown)

    def breakable(value: object) -> Markup:
        """Return text in which a browser may break long words, and names after each underscore."""
        text = formatting.printable(str(value))
        ends = [found.end() for found in _LONG.finditer(text)]
        return Markup("<wbr>").join(text[a:b] for a, b in zip([0, *ends], [*ends, None], strict=True))

    environment.filters |= {use.__name__: use for use in (breakable, formatting.moment, formatting.times)}
    style = templates.source(environment, STYLE)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    sheet = {"style": Markup(style), "style_digest": digest}  # noqa: S704  (ours, from a file)
    return templates.fill(environment, name, {**values, **sheet})


class Drawing:
    """An SVG element made by `svg`."""

    def __init__(self, element: str) -> None:
        self.element = element

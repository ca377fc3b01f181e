"""How does the picture of a project look as a page?

Stands apart from `dashboard`, which draws the same on a terminal, and shares its style with the report. The
page stands still: it runs nothing, so it cannot look again. It looks at nothing itself.
"""

from __future__ import annotations

from pathlib import Path

from swiftdeploy_tasks.metrics import Window
from swiftdeploy_tasks.picture import Picture, concern
from swiftdeploy_tasks.report import paper, words


def page(picture: Picture, *, folders: tuple[Path, ...]) -> str:
    """Return the whole page as text; folders of templates, the project's own first."""
    values = {
        "picture": picture,
        "concern": concern(picture),
        "standings": [standing.document() for standing in picture.compliance],
        "measured": _measured,
    }
    return paper.fill("status.html.j2", values, folders=folders)


def _measured(window: Window | None, name: str) -> str:
    """A figure of the window with its unit; a dash where it is not known."""
    value = getattr(window, name) if window else None
    is_time = name.endswith("_ms")
    if value is None:
        beyond = window.beyond_ms if window and is_time else None
        return "–" if beyond is None else f"over {words.figure(beyond)} ms"
    if name == "error_rate":
        return f"{words.figure(100 * value)} %"
    return f"{words.figure(value)} ms" if is_time else words.figure(value)

"""What does a person see of a page, what does it do, and who could not read it?

A page is opened from a file in a real browser, which notes all that it says, asks for and runs.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

# Its native part and that of the embedded gate do not get on in one process: it is loaded when it is used.
if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


WIDTHS = {"narrow": 380, "wide": 1280}
SERIOUS = {"serious", "critical"}


@dataclass
class Looked:
    """A page that is open, and what it did since."""

    page: Page
    said: list[str] = field(default_factory=list)
    asked_for: list[str] = field(default_factory=list)

    @property
    def is_scrolled_sideways(self) -> bool:
        return bool(self.page.evaluate("document.documentElement.scrollWidth > innerWidth"))

    def open_all(self) -> None:
        """Open all that can be opened."""
        self.page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true })")

    def hindrances(self) -> list[str]:
        """The accessibility faults that axe-core finds on the page."""
        from axe_playwright_python.sync_playwright import Axe

        found = Axe().run(self.page).response["violations"]
        return [
            f"{one['id']} ({one['impact']}): {node['html'][:200]}"
            for one in found
            for node in one["nodes"]
            if one["impact"] in SERIOUS
        ]


@contextmanager
def looked(
    browser: Browser,
    text: str,
    folder: Path,
    *,
    width: Literal["narrow", "wide"] = "wide",
    scheme: Literal["light", "dark"] = "light",
) -> Iterator[Looked]:
    """Open a page that is this text; what it says, runs and asks for is noted from the first byte on."""
    file = folder / "page.html"
    file.write_text(text, encoding="utf-8")
    context = browser.new_context(viewport={"width": WIDTHS[width], "height": 900}, color_scheme=scheme)
    try:
        seen = Looked(context.new_page())
        seen.page.on("console", lambda message: seen.said.append(message.text))
        seen.page.on("pageerror", lambda error: seen.said.append(str(error)))
        seen.page.on("dialog", lambda dialog: seen.said.append(dialog.message))
        seen.page.on("request", lambda request: seen.asked_for.append(request.url))
        seen.page.goto(file.as_uri())
        yield seen
    finally:
        context.close()


def do_nothing(seen: Looked, folder: Path) -> None:
    """Assert that the page said nothing, ran nothing and asked for itself alone."""
    assert seen.said == []
    assert seen.asked_for == [(folder / "page.html").as_uri()]

"""Makes the pictures of the report and of the dashboard in docs/pictures, from a project that really runs.

    python -m bench.pictures

It lives through its day (`day`) with the dashboard left on; then the report is written, and both are shown
by a real browser. It needs Chromium on PATH, and draws no picture that the program itself did not make.
"""

from __future__ import annotations

import io
import re
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, sync_playwright
from rich.console import Console
from rich.text import Text

from bench import day
from bench.sandbox import SOURCE
from tests.lab import require

FOLDER = SOURCE / "docs" / "pictures"
WIDTH, HEIGHT = 1280, 1720
COLUMNS, SHADES = 100, 255
# Where the dashboard leaves the screen that it drew on, and prints its last picture.
_LEFT = "\x1b[?1049l"
_FETCHED_FONT = re.compile(r"@font-face \{.*?\}", re.DOTALL)


def main(folder: Path = FOLDER, *, idle: float = 12.0) -> None:
    """Make `report.png` and `dashboard.png` in the folder; `idle` as in `day.spend`."""
    folder.mkdir(parents=True, exist_ok=True)
    with day.project() as made:
        with day.looked_at(made) as terminal:
            day.spend(made, idle=idle)
        made.run("audit", "--html").ok()
        report = (made.place.root / "audit_report.html").read_text(encoding="utf-8")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=require("browser"))
        _photograph(browser, report, folder / "report.png", height=HEIGHT)
        _photograph(browser, _svg(terminal.drawn.rpartition(_LEFT)[2]), folder / "dashboard.png")
        browser.close()


def _svg(drawn: str) -> str:
    """What was drawn on a terminal, as rich exports it, with a font that is here."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO())
    console.print(Text.from_ansi(drawn.replace("\r\n", "\n").rstrip()))
    return _FETCHED_FONT.sub("", console.export_svg(title="swiftdeploy status"))


def _photograph(browser: Browser, text: str, target: Path, *, height: int = 0) -> None:
    """Show a page or a drawing, and keep a picture of it: of its first `height` pixels, or of all of it."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / ("shown.svg" if text.startswith("<svg") else "shown.html")
        file.write_text(text, encoding="utf-8")
        page = browser.new_page(viewport={"width": WIDTH, "height": height or 800}, color_scheme="light")
        page.goto(file.as_uri())
        shown = page.screenshot() if height else page.locator("svg").screenshot()
        page.close()
    Image.open(io.BytesIO(shown)).convert("P", palette=Image.Palette.ADAPTIVE, colors=SHADES).save(
        target, optimize=True
    )
    print(f"{target}: {target.stat().st_size / 1024:.0f} KiB")


if __name__ == "__main__":
    main()

"""The report and the page of a real day with faults show what happened."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from bench import day
from tests.lab import require
from tests.report.looking import do_nothing, looked

# Its native part and that of the embedded gate do not get on in one process: it is loaded when it is used.
if TYPE_CHECKING:
    from playwright.sync_api import Browser

# It runs a whole project, as those in tests/e2e do.
CHARTS = ("happened", "rate", "errors", "p99", "shares")


@dataclass(frozen=True)
class Pages:
    """The report and the status of one project as they were written, and what `audit` said."""

    report: str
    status: str
    audited: dict[str, Any]


@pytest.fixture(scope="module")
def pages() -> Iterator[Pages]:
    require("nginx")
    with day.project(interval=2) as made:
        with day.looked_at(made):
            day.spend(made)
        root: Path = made.place.root
        made.run("status", "--html", "now.html").ok()
        audited = made.run("audit", "--html").ok().document
        yield Pages((root / "audit_report.html").read_text(), (root / "now.html").read_text(), audited)


@pytest.mark.parametrize("width", ["narrow", "wide"])
def test_the_page_of_a_real_day_is_readable_whole_and_quiet(
    browser: Browser, pages: Pages, tmp_path: Path, width: Any
) -> None:
    with looked(browser, pages.report, tmp_path, width=width) as seen:
        seen.open_all()
        assert not seen.is_scrolled_sideways
        for name in CHARTS:
            chart = seen.page.locator(f"svg[aria-labelledby={name}-{width}-title]")
            assert chart.is_visible()
            assert chart.locator("path[stroke]").count() > 5
        do_nothing(seen, tmp_path)


def test_it_tells_what_happened_when_why_and_that_nothing_was_left_out(
    browser: Browser, pages: Pages, tmp_path: Path
) -> None:
    assert pages.audited["verified"]
    with looked(browser, pages.report, tmp_path) as seen:
        statement = seen.page.locator("main > *").first.inner_text()
        assert f"All {pages.audited['records']} records link to the head" in statement
        happened = seen.page.locator("figure").first.inner_text()
        for told in ("deploy 2", "promote 2", "rollback 1", "rolled back 1", "refusal 1", "chaos"):
            assert told in happened
        seen.open_all()
        refused, sick = (
            seen.page.locator("details", has_text=text).first.inner_text()
            for text in ("nothing that runs was changed", "automatic rollback")
        )
        assert "max_error_rate" in refused
        for told in ("is not confirmed", "% → ", "How long each phase took", "Last lines of the slot"):
            assert told in sick
        assert seen.hindrances() == []
        errors = seen.page.locator("figure:has(svg[aria-labelledby=errors-wide-title])")
        limits = errors.locator("figcaption").inner_text()
        assert "limit 1 %" in limits


def test_the_status_page_of_what_serves_says_so(browser: Browser, pages: Pages, tmp_path: Path) -> None:
    with looked(browser, pages.status, tmp_path, width="narrow") as seen:
        text = seen.page.locator("body").inner_text()
        assert "Version 1.0.0 (stable) serves at" in text
        assert not seen.is_scrolled_sideways
        assert seen.hindrances() == []
        do_nothing(seen, tmp_path)

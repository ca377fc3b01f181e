"""Every link between the pages, and every page that the code names, is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs import PAGES, ROOT, text_of

LINK = re.compile(r"\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
NAMED = re.compile(r"\bdocs/[\w./-]+\.\w+")
SOURCES = [*ROOT.glob("swiftdeploy_tasks/**/*.py"), *ROOT.glob("bench/*.py"), ROOT / "manifest.yaml"]


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    titles = (title.lower().replace(" ", "-") for title in HEADING.findall(text_of(page)))
    return {re.sub(r"[^\w-]", "", title) for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_relative_link_and_anchor_resolves(page: Path) -> None:
    links = [link for link in LINK.findall(text_of(page)) if "://" not in link]
    broken = []
    for link in links:
        path, _, anchor = link.partition("#")
        target = (page.parent / path) if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


def test_every_page_is_linked_from_the_readme() -> None:
    linked = set(LINK.findall(text_of(ROOT / "README.md")))
    assert {f"docs/{page.name}" for page in ROOT.glob("docs/*.md")} <= linked


def test_every_page_that_the_code_names_is_there() -> None:
    named = {name for source in SOURCES for name in NAMED.findall(source.read_text(encoding="utf-8"))}
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []

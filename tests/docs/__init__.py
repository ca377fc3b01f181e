"""The pages that are tested: README, CHANGELOG and everything in docs/."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = sorted((*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")))
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def text_of(page: Path) -> str:
    """Return the text of a page without its code blocks."""
    return _BLOCK.sub("", page.read_text(encoding="utf-8"))


def blocks_of(page: Path, language: str) -> list[str]:
    """Return the code blocks of a page in this language."""
    found = _BLOCK.findall(page.read_text(encoding="utf-8"))
    return [text for name, text in found if name == language]


def sections_of(page: Path) -> dict[str, str]:
    """Return the text below each heading of the second level, by heading."""
    _, *parts = re.split(r"^## ", text_of(page), flags=re.MULTILINE)
    return {heading: text for heading, _, text in (part.partition("\n") for part in parts)}

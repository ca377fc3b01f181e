"""What the pages show is accepted: manifests by the schema, the map of the rooms by the law."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

from tests.docs import PAGES, ROOT, blocks_of, sections_of
from tests.test_law import LAW

SCHEMA = json.loads((ROOT / "schema" / "manifest.schema.json").read_text(encoding="utf-8"))
WHOLE = [ROOT / "README.md", ROOT / "docs" / "manifest.md"]
EXAMPLES = [(page, text) for page in PAGES for text in blocks_of(page, "yaml")]


@pytest.mark.parametrize(("page", "text"), EXAMPLES, ids=[page.name for page, _ in EXAMPLES])
def test_a_manifest_in_a_page_fits_the_schema(page: Path, text: str) -> None:
    found = yaml.safe_load(text) or {}
    errors = Draft202012Validator(SCHEMA).iter_errors(found)
    assert [error.message for error in errors if error.validator != "required"] == []


@pytest.mark.parametrize("page", WHOLE, ids=lambda page: page.name)
def test_the_first_manifest_of_a_page_can_be_deployed(page: Path) -> None:
    found = yaml.safe_load(blocks_of(page, "yaml")[0])
    assert [error.message for error in Draft202012Validator(SCHEMA).iter_errors(found)] == []


def test_the_law_in_the_page_is_the_one_that_is_tested() -> None:
    (shown,) = blocks_of(ROOT / "docs" / "contributing.md", "text")
    assert [set(line.split(", ")) for line in shown.splitlines()] == [set(rooms) for rooms in LAW]


def test_every_room_is_on_the_map() -> None:
    rooms = sections_of(ROOT / "docs" / "contributing.md")["The rooms"]
    off = [room for room in set().union(*LAW) if f"{room}/`" not in rooms and f"{room}.py`" not in rooms]
    assert off == []

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from jsonschema import Draft202012Validator

from tests.manifest import SCHEMA

RULES = json.loads(SCHEMA.read_text(encoding="utf-8"))


def keys(rule: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    for key, below in rule.get("properties", {}).items():
        yield f"{path}{key}", below
        yield from keys(below, f"{path}{key}.")


def parts(rule: Any) -> Iterator[dict[str, Any]]:
    if isinstance(rule, dict):
        yield rule
    for below in rule.values() if isinstance(rule, dict) else rule if isinstance(rule, list) else ():
        yield from parts(below)


def test_the_schema_is_valid_draft_2020_12() -> None:
    assert RULES["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    Draft202012Validator.check_schema(RULES)


def test_every_key_is_described() -> None:
    assert [path for path, rule in keys(RULES) if not rule.get("description")] == []


def test_every_default_and_example_fits_its_own_rule() -> None:
    for rule in parts(RULES):
        for value in [*rule.get("examples", []), *([rule["default"]] if "default" in rule else [])]:
            if isinstance(rule.get("default"), str | int | list | float) or "examples" in rule:
                Draft202012Validator({**rule, "$defs": RULES["$defs"]}).validate(value)


def test_every_object_refuses_keys_it_does_not_know_or_bounds_their_names() -> None:
    for rule in parts(RULES):
        if "object" in str(rule.get("type")):
            assert rule.get("additionalProperties") is False or "propertyNames" in rule


def test_every_number_and_list_has_an_upper_bound() -> None:
    for rule in parts(RULES):
        kinds = str(rule.get("type"))
        if "integer" in kinds or "number" in kinds:
            assert "maximum" in rule
        if "array" in kinds:
            assert "maxItems" in rule


def test_every_pattern_is_anchored_and_says_its_bound_in_words() -> None:
    for rule in parts(RULES):
        if isinstance(rule.get("pattern"), str):
            assert rule["pattern"].startswith("^")
            assert rule["pattern"].endswith(("$", "$(?!\\n)"))
            assert rule.get("title")

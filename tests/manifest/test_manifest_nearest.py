from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from swiftdeploy_tasks.manifest import loading, validation
from swiftdeploy_tasks.manifest.source import dotted, parse
from swiftdeploy_tasks.manifest.suggestions import every_key
from tests.manifest import SCHEMA

CASES = Path(__file__).parent / "cases"
BASE = (CASES / "accepted-base-keys" / "manifest.yaml").read_text(encoding="utf-8")
VARIANTS = sorted(CASES.glob("variant-*"))
PLACES = re.compile(r"(?:move it to|known one is| or| as|write) ([a-z_0-9]+(?:\.[a-z_0-9]+)+)")


def fix(extra: str) -> str:
    """What is said of the one key that is added to a manifest with the base keys."""
    found = validation.check(parse((BASE + extra).encode()), loading.rules(SCHEMA))
    assert len(found) == 1
    return found[0].fix


def test_a_key_of_another_level_is_sent_to_that_level() -> None:
    text = BASE.replace("nginx:\n", "nginx:\n  contact: ops@shop.example\n")
    (problem,) = validation.check(parse(text.encode()), loading.rules(SCHEMA))
    assert problem.key == "nginx.contact"
    assert problem.fix == "move it to the top level"


def test_a_key_that_is_near_to_none_is_to_be_removed() -> None:
    assert fix("annotations: {}\n") == "remove it"


def test_a_key_that_is_given_at_its_place_already_is_to_be_removed_here() -> None:
    assert (
        re.fullmatch(r"remove it: services\.image is given on line \d+", fix("image_name: shop:1\n")) is None
    )
    assert re.fullmatch(r"remove it: nginx\.port is given on line \d+", fix("nginx_port: 8080\n"))


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("max_p99_latency_seconds: 0.5", "policy.canary.max_p99_ms: 500, in milliseconds"),
        ("max_p99_latency: 0.75s", "policy.canary.max_p99_ms: 750, in milliseconds"),
        ("window_minutes: 5", "policy.canary.window: 300, in seconds"),
        ("max_error_rate_percent: 1", "policy.canary.max_error_rate: 0.01, a fraction of 1"),
        ("window_lines: 5", ""),
    ],
)
def test_a_limit_in_another_unit_is_given_in_the_one_that_is_known(key: str, said: str) -> None:
    written = fix(f"policy: {{canary: {{{key}}}}}\n")
    assert written == (f"write {said}" if said else "the nearest known one is policy.canary.window")


@pytest.mark.parametrize("case", VARIANTS, ids=lambda case: case.name)
def test_every_place_that_is_named_is_a_known_key(case: Path) -> None:
    known = {dotted(place) for place in every_key(json.loads(SCHEMA.read_text(encoding="utf-8")))}
    problems = loading.problems(case / "manifest.yaml", schema=SCHEMA)
    named = [place for problem in problems for place in PLACES.findall(problem.fix)]
    assert set(named) <= known


def test_there_are_twelve_manifests_of_other_tools() -> None:
    assert len(VARIANTS) == 12

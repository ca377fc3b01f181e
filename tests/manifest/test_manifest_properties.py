from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from swiftdeploy_tasks.manifest import loading, validation
from swiftdeploy_tasks.manifest.model import Manifest
from swiftdeploy_tasks.manifest.source import parse
from tests.manifest import SCHEMA
from tests.manifest.strategies import as_yaml, manifests

RULES = json.loads(SCHEMA.read_text(encoding="utf-8"))
BASE = (Path(__file__).parent / "cases" / "accepted-everything" / "manifest.yaml").read_bytes()


def accepted(data: dict[str, Any]) -> Manifest:
    source = parse(as_yaml(data))
    assert validation.check(source, RULES) == ()
    return loading.build(source, RULES)


@settings(deadline=None)
@given(manifests())
def test_what_was_written_is_what_is_read(data: dict[str, Any]) -> None:
    read, services = accepted(data), data["services"]
    assert (read.services.image, read.services.port) == (services["image"], services["port"])
    assert (read.nginx.port, read.nginx.operator_port) == (
        data["nginx"]["port"],
        data["nginx"]["operator_port"],
    )
    assert read.network.name == data["network"]["name"]
    assert list(read.services.process or ()) == services.get("process", [])
    written = {variable.name: variable.value or variable.from_env or "" for variable in read.services.env}
    assert written == {
        name: value if isinstance(value, str) else value["from_env"]
        for name, value in services.get("env", {}).items()
    }
    assert read.policy.get("canary", {}) == data.get("policy", {}).get("canary", {})


@settings(deadline=None)
@given(manifests())
def test_no_name_path_or_contact_can_leave_its_place(data: dict[str, Any]) -> None:
    read = accepted(data)
    bare = [read.name, read.network.name, read.services.log_volume, read.services.image, read.nginx.image]
    paths = [read.services.health.path, *read.nginx.private]
    assert all(re.fullmatch(r"[A-Za-z0-9._:/@-]+", text) for text in bare)
    assert all(re.fullmatch(r"/[A-Za-z0-9._~/-]*", path) for path in paths)
    assert not re.search(r"[\x00-\x1f\x7f\"'`\\${}]", read.contact)


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused_in_sentences(data: bytes) -> None:
    source = parse(data)
    assert source.data is not None or source.problems


@settings(deadline=None)
@given(st.integers(0, len(BASE) - 1), st.binary(min_size=1, max_size=3), st.integers(0, 4))
def test_a_damaged_manifest_is_read_or_refused_in_sentences(place: int, put: bytes, cut: int) -> None:
    source = parse(BASE[:place] + put + BASE[place + cut :])
    problems = validation.check(source, RULES)
    assert all(problem.text.isprintable() for problem in problems)
    if not problems:
        loading.build(source, RULES)


PLACES = [
    ("name",),
    ("contact",),
    ("rendered",),
    ("services", "image"),
    ("services", "version"),
    ("services", "log_volume"),
    ("services", "health", "path"),
    ("services", "metrics", "path"),
    ("services", "source"),
    ("services", "build"),
    ("nginx", "image"),
    ("nginx", "proxy_timeout"),
    ("network", "name"),
]
HOSTILE = st.text(st.sampled_from("a1/.\n\r\t\0;{}$\"'\\` #:,&*!%@\u2028\u0085é"), max_size=8)


@settings(deadline=None)
@given(st.sampled_from(PLACES), HOSTILE)
def test_text_with_a_line_feed_or_control_character_is_refused_everywhere_but_in_env(
    place: tuple[str, ...], text: str
) -> None:
    data: dict[str, Any] = {
        "services": {"image": "shop:1", "port": 3000, "health": {}, "metrics": {}},
        "nginx": {"image": "nginx", "port": 8080},
        "network": {"name": "net", "driver_type": "bridge"},
    }
    here = data
    for key in place[:-1]:
        here = here[key]
    here[place[-1]] = text
    problems = validation.check(parse(as_yaml(data)), RULES)
    assert [problem.key for problem in problems] in ([], [".".join(place)])
    if re.search(r"[\x00-\x1f\x7f-\x9f\"$\\`]", text):
        assert problems

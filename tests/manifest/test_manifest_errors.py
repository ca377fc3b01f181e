from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from swiftdeploy_tasks.errors import ManifestError
from swiftdeploy_tasks.manifest import loading, validation
from swiftdeploy_tasks.manifest.loading import ManifestProblems
from swiftdeploy_tasks.manifest.source import Problem, parse
from tests.manifest import SCHEMA

CASES = Path(__file__).parent / "cases"
BASE = (CASES / "accepted-base-keys" / "manifest.yaml").read_text(encoding="utf-8")


def only(path: Path) -> Problem:
    (problem,) = loading.problems(path, schema=SCHEMA)
    return problem


def test_a_missing_file_names_the_folder_that_lacks_it(tmp_path: Path) -> None:
    problem = only(tmp_path / "manifest.yaml")
    assert (problem.stage, problem.line) == ("manifest", None)
    assert f"there is no manifest.yaml in {tmp_path}" in problem.text


def test_a_folder_in_place_of_the_file_is_said(tmp_path: Path) -> None:
    assert "is a folder" in only(tmp_path).text


def test_a_path_that_cannot_be_read_gives_the_systems_reason(tmp_path: Path) -> None:
    (tmp_path / "manifest.yaml").symlink_to("manifest.yaml")
    assert "cannot be read: Too many levels of symbolic links" in only(tmp_path / "manifest.yaml").text


def test_a_file_too_large_to_be_a_manifest_is_not_parsed(tmp_path: Path) -> None:
    path = tmp_path / "manifest.yaml"
    path.write_bytes(b"#" * 262_145)
    assert "262145 bytes, more than 262144" in only(path).text


def test_the_error_tells_the_first_problem_and_carries_all() -> None:
    with pytest.raises(ManifestError) as caught:
        loading.load(CASES / "choices" / "manifest.yaml", schema=SCHEMA)
    error = caught.value
    assert isinstance(error, ManifestProblems)
    assert error.message.startswith('manifest.yaml: line 4: services.mode: "stabel"')
    assert error.message.endswith("(and 3 more)")
    assert error.log == tuple(problem.text for problem in error.problems)
    assert len(error.problems) == 4
    assert (error.kind, error.exit_code, error.next) == (
        "ManifestError",
        2,
        "correct manifest.yaml, then: invoke validate",
    )


def test_a_single_problem_has_no_count() -> None:
    with pytest.raises(ManifestError) as caught:
        loading.load(CASES / "empty" / "manifest.yaml", schema=SCHEMA)
    assert "more)" not in caught.value.message


@pytest.mark.parametrize("content", ["", "{", "\udcff"])
def test_a_schema_that_is_not_json_is_named(tmp_path: Path, content: str) -> None:
    schema = tmp_path / "manifest.schema.json"
    schema.write_text(content, encoding="utf-8", errors="surrogateescape")
    with pytest.raises(ManifestError, match=r"the schema .*manifest\.schema\.json cannot be read"):
        loading.load(CASES / "accepted-base-keys" / "manifest.yaml", schema=schema)


def test_a_projects_own_schema_without_a_default_names_the_key(tmp_path: Path) -> None:
    rules = json.loads(SCHEMA.read_text(encoding="utf-8"))
    del rules["properties"]["contact"]["default"]
    schema = tmp_path / "manifest.schema.json"
    schema.write_text(json.dumps(rules), encoding="utf-8")
    with pytest.raises(
        ManifestError, match="neither the manifest nor the schema gives a value for 'contact'"
    ):
        loading.load(CASES / "accepted-base-keys" / "manifest.yaml", schema=schema)


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("image", "a" * 200_000 + "!"),
        ("image", "a-" * 100_000),
        ("image", "a/" * 100_000),
        ("image", "_" * 200_000),
        ("source", "a/" * 100_000 + ".."),
        ("log_volume", "a" * 200_000),
        ("version", '"' + "\\n" * 100_000 + '"'),
    ],
)
def test_no_text_makes_a_pattern_run_long(tmp_path: Path, key: str, text: str) -> None:
    path = tmp_path / "manifest.yaml"
    lines = [line for line in BASE.splitlines() if line != f"  {key}: shop:1"]
    lines.insert(1, f"  {key}: {text}")
    path.write_text("\n".join(lines), encoding="utf-8")
    began = time.monotonic()
    problem = only(path)
    assert time.monotonic() - began < 5
    assert problem.key == f"services.{key}"
    assert len(problem.value) < 100


def test_checking_can_be_left_out_for_bytes_that_were_checked_before() -> None:
    path = CASES / "accepted-everything" / "manifest.yaml"
    rules = json.loads(SCHEMA.read_text(encoding="utf-8"))
    source = parse(path.read_bytes())
    assert validation.check(source, rules) == ()
    assert loading.build(source, rules) == loading.load(path, schema=SCHEMA)

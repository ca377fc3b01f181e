from __future__ import annotations

from pathlib import Path

import pytest

from swiftdeploy_tasks.errors import ManifestError
from swiftdeploy_tasks.manifest import loading
from tests.manifest import SCHEMA

CASES = sorted((Path(__file__).parent / "cases").iterdir())


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_manifest_gets_exactly_the_sentences_beside_it(case: Path) -> None:
    found = loading.problems(case / "manifest.yaml", schema=SCHEMA)
    said = "".join(f"{problem.stage}: {problem.text}\n" for problem in found)
    assert said == (case / "expected.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_only_a_case_named_accepted_loads(case: Path) -> None:
    try:
        loading.load(case / "manifest.yaml", schema=SCHEMA)
        loaded = True
    except ManifestError:
        loaded = False
    assert loaded == case.name.startswith("accepted-")

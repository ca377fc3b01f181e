"""Each folder of `cases` is a manifest and the files it becomes, byte for byte.

SWIFTDEPLOY_REWRITE_GOLDEN=1 writes what is rendered now; the diff is then for a reviewer to read.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from swiftdeploy_tasks.engines import registry
from swiftdeploy_tasks.manifest import loading
from swiftdeploy_tasks.rollout.policies import is_server
from tests.proxy import PLACES, ROOT, SCHEMA, root_files

CASES = sorted((Path(__file__).parent / "cases").iterdir())


def rendered(case: Path) -> dict[str, str]:
    asked = loading.load(case / "manifest.yaml", schema=SCHEMA)
    engine = "local" if asked.engine == "local" else "docker"
    return root_files(asked, engine=engine, with_opa=is_server(asked, registry.make(engine, PLACES)))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_manifest_becomes_the_files_that_were_reviewed(case: Path) -> None:
    files = rendered(case)
    if os.environ.get("SWIFTDEPLOY_REWRITE_GOLDEN") == "1":
        (case / "expected").mkdir(exist_ok=True)
        for name, text in files.items():
            (case / "expected" / name).write_bytes(text.encode())
    found = {path.name: path.read_bytes().decode() for path in (case / "expected").iterdir()}
    assert files == found


PRINT = """
import sys
from pathlib import Path
from tests.proxy.test_golden import CASES, rendered
for case in CASES:
    for text in rendered(case).values():
        sys.stdout.write(text)
"""


def test_the_same_manifest_is_the_same_bytes_for_every_user_and_place(tmp_path: Path) -> None:
    home = tmp_path / "home of nobody"
    home.mkdir()
    places = [
        {"PYTHONHASHSEED": "1", "HOME": "/", "USER": "root", "TZ": "UTC", "LC_ALL": "C"},
        {"PYTHONHASHSEED": "2", "HOME": str(home), "USER": "nobody", "TZ": "Asia/Tokyo", "LC_ALL": "C.UTF-8"},
    ]
    texts = {
        subprocess.run(
            [sys.executable, "-X", "utf8", "-c", PRINT],
            cwd=cwd,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **place},
            capture_output=True,
            check=True,
        ).stdout
        for place, cwd in zip(places, (ROOT, home), strict=True)
    }
    (text,) = texts
    assert text.count(b"# Made by SwiftDeploy") == 2 * len(CASES)

"""A state folder that was named: it serves one project, wherever that is checked out, and no other one."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from tests.e2e.project import Project


def test_another_project_cannot_use_it_nor_take_down_what_it_holds(
    new_project: Callable[..., Project], tmp_path: Path
) -> None:
    first, second = new_project("local"), new_project("local")
    for project in (first, second):
        project.environment["INVOKE_SWIFTDEPLOY_STATE"] = str(tmp_path / "state")
    first.deploy()
    try:
        for verb in ("deploy", "plan", "teardown"):
            refused = second.run(verb)
            assert refused.code == 2
            assert repr(first.name) in refused.said and repr(second.name) in refused.said
        assert first.get().status == 200
        elsewhere = shutil.move(first.root, tmp_path / "another checkout")
        first.root = Path(elsewhere)
        first.run("plan", "--check").ok()
    finally:
        first.run("teardown").ok()
    second.environment.clear()

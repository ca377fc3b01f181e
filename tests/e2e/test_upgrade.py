"""What runs stays as it is when the tool itself is replaced by a newer one."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.e2e.project import SOURCE, Project


def _with_one_more_field(folder: Path) -> Path:
    """Return the folder of a copy of the package whose releases have one more field, with a default."""
    package = folder / "swiftdeploy_tasks"
    shutil.copytree(SOURCE / "swiftdeploy_tasks", package, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("policies", "schema", "templates"):
        (folder / name).symlink_to(SOURCE / name)
    path = package / "model" / "release.py"
    text = path.read_text()
    for old, new in (
        ('    "health.host": None,\n', '    "health.host": None,\n    "hint": "",\n'),
        ("    restart_policy: str\n", '    restart_policy: str\n    hint: str = ""\n'),
    ):
        assert text.count(old) == 1
        text = text.replace(old, new)
    path.write_text(text)
    return folder


def test_a_newer_version_with_one_more_field_finds_nothing_to_change(
    project: Project, tmp_path: Path
) -> None:
    project.deploy()
    newer = str(_with_one_more_field(tmp_path / "newer"))
    plan = project.run("plan", "--check", PYTHONPATH=newer)
    assert plan.code == 0, plan.out
    before = project.running()
    project.deploy(PYTHONPATH=newer)
    assert project.running() == before

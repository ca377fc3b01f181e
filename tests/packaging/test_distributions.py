"""What the sdist and the wheel hold, and that neither needs the checkout."""

from __future__ import annotations

import subprocess
import tarfile
import zipfile
from pathlib import Path

from tests.packaging.conftest import CHECKOUT, build, run

DEFAULTS = {
    f"swiftdeploy_tasks/defaults/{path.relative_to(CHECKOUT).as_posix()}"
    for folder, ending in (("templates", "*.j2"), ("policies", "*.rego"), ("schema", "*.json"))
    for path in (CHECKOUT / folder).glob(ending)
}


def content(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_the_wheel_holds_the_typed_package_its_defaults_and_nothing_else(wheel: Path) -> None:
    names = set(content(wheel))
    alongside = {
        "swiftdeploy_tasks/py.typed",
        "swiftdeploy_tasks/defaults/policies/data.json",
    }
    assert DEFAULTS | alongside <= names
    assert {name.split("/")[0].partition("-")[0] for name in names} == {"swiftdeploy_tasks"}


def test_a_wheel_from_the_sdist_is_the_wheel_from_the_tree(wheel: Path, sdist: Path, tmp_path: Path) -> None:
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    (tree,) = tmp_path.iterdir()
    out = tmp_path / "out"
    out.mkdir()
    assert content(build("wheel", tree, out)) == content(wheel)


def test_the_command_of_the_wheel_lists_the_verbs_in_an_empty_folder(programs: Path, tmp_path: Path) -> None:
    ended = subprocess.run([programs / "swiftdeploy", "--list"], cwd=tmp_path, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    for verb in ("validate", "render", "deploy", "teardown"):
        assert f"\n  {verb} " in ended.stdout
    assert list(tmp_path.iterdir()) == []


def test_the_package_comes_from_the_wheel(programs: Path, tmp_path: Path) -> None:
    where = "import swiftdeploy_tasks, sys; sys.exit(not swiftdeploy_tasks.__file__.startswith(sys.prefix))"
    run(programs / "python", "-c", where, cwd=tmp_path)

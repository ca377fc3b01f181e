"""Folders of a project that have the name of a library."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from swiftdeploy_tasks.system.libraries import NAMES, hidden_by
from tests.lab import require
from tests.ports import free_ports

SOURCE = Path(__file__).resolve().parents[2]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project that is mounted by tasks.py and has a package of the name of every library."""
    shutil.copytree(SOURCE / "app", tmp_path / "app", ignore=shutil.ignore_patterns("__pycache__"))
    public, operator = free_ports(2)
    manifest = {
        "services": {"image": "shop:1", "port": 3000},
        "nginx": {"image": "nginx:latest", "port": public, "operator_port": operator},
        "network": {"name": "shop-net", "driver_type": "bridge"},
        "engine": "local",
    }
    (tmp_path / "manifest.yaml").write_text(yaml.safe_dump(manifest), encoding="utf-8")
    (tmp_path / "tasks.py").write_text("from swiftdeploy_tasks import ns\n", encoding="utf-8")
    for name in NAMES:
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").touch()
    return tmp_path


def invoke(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("INVOKE", "SWIFTDEPLOY"))
    }
    command = [str(Path(sys.executable).parent / "invoke"), *words]
    return subprocess.run(command, cwd=folder, env=kept, capture_output=True, text=True, timeout=120)


def test_a_package_of_the_project_does_not_hide_a_library(folder: Path) -> None:
    require("nginx")
    ended = invoke(folder, "validate")
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_the_docker_library_is_found_beside_a_package_docker(folder: Path) -> None:
    code = "import swiftdeploy_tasks, docker.errors; print(docker.__file__)"
    words = [sys.executable, "-c", code]
    ended = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0, ended.stderr
    assert not ended.stdout.startswith(str(folder))


def test_a_file_that_was_imported_in_place_of_a_module_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "calendarium.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ImportError) as caught:
        from calendarium import month  # type: ignore[import-not-found]  # noqa: F401
    assert hidden_by(caught.value, tmp_path) == tmp_path / "calendarium.py"
    assert hidden_by(caught.value, tmp_path / "elsewhere") is None
    sys.modules.pop("calendarium")

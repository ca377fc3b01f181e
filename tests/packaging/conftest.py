"""The distributions built from this checkout, and an environment that has the wheel and no checkout."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]


def run(*words: str | Path, cwd: Path) -> None:
    """Run a command that must succeed."""
    ended = subprocess.run(words, cwd=cwd, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def build(what: str, source: Path, folder: Path) -> Path:
    """Build the sdist or the wheel of the tree at `source`, and return the file."""
    run(sys.executable, "-m", "build", "--no-isolation", f"--{what}", "--outdir", folder, source, cwd=folder)
    (built,) = folder.glob({"wheel": "*.whl", "sdist": "*.tar.gz"}[what])
    return built


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("wheel", CHECKOUT, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="session")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("sdist", CHECKOUT, tmp_path_factory.mktemp("sdist"))


@pytest.fixture(scope="session")
def programs(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of programs of an environment where the package comes from the wheel.

    What the package depends on comes from the environment of the tests; its own editable install is not seen,
    because a folder that a `.pth` file adds has its own `.pth` files left unread.
    """
    environment = tmp_path_factory.mktemp("environment")
    run(sys.executable, "-m", "venv", "--without-pip", environment, cwd=environment)
    python = environment / "bin" / "python"
    install = ("install", "--quiet", "--disable-pip-version-check", "--no-index", "--no-deps")
    run(sys.executable, "-m", "pip", "--python", python, *install, wheel, cwd=environment)
    (site,) = environment.glob("lib/python*/site-packages")
    (site / "dependencies.pth").write_text(sysconfig.get_paths()["purelib"])
    return python.parent

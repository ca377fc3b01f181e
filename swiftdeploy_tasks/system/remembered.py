"""A cache of checks that passed, by the digest of everything that they depend on.

It may be lost at any time, so it is not synced to disk.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from swiftdeploy_tasks.system import files


def knows(folder: Path, made_of: Iterable[str]) -> bool:
    """Return whether something was said of `made_of` before."""
    return os.path.isfile(_place(folder, made_of))  # noqa: PTH113  (False where that is not known)


def remembered(folder: Path, made_of: Iterable[str], judge: Callable[[], str], *, keep: bool = True) -> str:
    """Return what `judge` says of `made_of`, from `folder` where it said so before; it raises to refuse.

    Without `keep` nothing is written.
    """
    place = _place(folder, made_of)
    with suppress(OSError):
        if said := place.read_text(encoding="utf-8"):
            return said
    said = judge()
    if keep and folder.parent.is_dir():
        with suppress(OSError):
            files.make_folder(folder)
            beside = place.with_suffix(".new")
            beside.write_text(said, encoding="utf-8")
            beside.replace(place)
    return said


def _place(folder: Path, made_of: Iterable[str]) -> Path:
    return folder / hashlib.sha256("\0".join(made_of).encode("utf-8", "surrogateescape")).hexdigest()[:24]

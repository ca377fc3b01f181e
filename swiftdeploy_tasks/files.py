"""How a file is replaced so that a reader, or a crash, never meets half of it.

Stands apart because the applied files, the policy bundle, the releases and the chain's head all need the
same promise. It knows nothing of what is in them.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

_BESIDE = ".swiftdeploy-new"


def replace(
    path: Path, content: str | bytes, *, mode: int = 0o644, owner: tuple[int, int] | None = None
) -> None:
    """Write `content` beside `path`, sync it and rename it into place, with exactly this mode.

    `owner` is a user and a group id; without it the file is this user's. A symbolic link is followed: what
    it points at is replaced. Raises OSError; the old file then stands.
    """
    replace_all({path: content}, mode=mode, owner=owner)


def rehearse(path: Path, content: bytes, *, mode: int, owner: tuple[int, int]) -> None:
    """Do what `replace` does up to the rename, and leave nothing behind. Raises the OSError of `replace`."""
    _written(_target(path), content, mode, owner).unlink()


def replace_all(
    contents: Mapping[Path, str | bytes], *, mode: int = 0o644, owner: tuple[int, int] | None = None
) -> None:
    """Replace several files as `replace` does one: none is renamed before all are written and synced."""
    beside: dict[Path, Path] = {}
    try:
        for path, content in contents.items():
            target = _target(path)
            data = content.encode() if isinstance(content, str) else content
            beside[target] = _written(target, data, mode, owner)
        for target, new in beside.items():
            new.replace(target)
    except BaseException:
        for new in beside.values():
            new.unlink(missing_ok=True)
        raise
    for folder in {target.parent for target in beside}:
        sync_folder(folder)


def _written(target: Path, data: bytes, mode: int, owner: tuple[int, int] | None) -> Path:
    beside = target.with_name(f".{target.name}{_BESIDE}")
    beside.unlink(missing_ok=True)
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            if owner:
                os.fchown(file.fileno(), *owner)
            os.fchmod(file.fileno(), mode)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    return beside


def sweep(folder: Path, names: Iterable[str] = ("*",)) -> None:
    """Remove what a writer that was killed left beside the files of these names (patterns)."""
    for name in names:
        for left in folder.glob(f".{name}{_BESIDE}"):
            left.unlink(missing_ok=True)


def _target(path: Path) -> Path:
    """Return what a link points at, there or not yet; raises OSError for one that leads to itself."""
    with suppress(FileNotFoundError):
        path.stat()
    return Path(os.path.realpath(path))


def sync_folder(folder: Path) -> None:
    """Make a rename in this folder survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(path: Path, *, mode: int = 0o700) -> None:
    """Make the folder, and those above it, with this mode whatever the umask; one that is there is left."""
    if path.is_dir():
        return
    make_folder(path.parent, mode=mode)
    with suppress(FileExistsError):
        path.mkdir()
        path.chmod(mode)

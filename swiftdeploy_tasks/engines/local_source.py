"""What the local engine runs: its source, the digest of that, and a release's own copy.

A local release keeps a copy, so that going back runs what ran before and not what lies in the folder now.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from swiftdeploy_tasks import files
from swiftdeploy_tasks.errors import PreflightError
from swiftdeploy_tasks.manifest import Manifest

DEFAULT_PROCESS = ("python", "app/main.py")
_LEFT_OUT = ("__pycache__", ".git", ".swiftdeploy", ".venv", "node_modules")


def process(manifest: Manifest, root: Path) -> tuple[str, ...]:
    """Return the words that start the app; raises PreflightError when nothing says how."""
    if manifest.services.process:
        return manifest.services.process
    if (root / DEFAULT_PROCESS[1]).is_file():
        return DEFAULT_PROCESS
    raise PreflightError(
        "nothing says how to run the service here: services.process is not given and there is no app/main.py",
        "add services.process to manifest.yaml, for example: process: [python, server.py]",
    )


def source(manifest: Manifest, root: Path) -> Path | None:
    """Return what a release keeps a copy of; None when the default folder is not there.

    Raises PreflightError when the manifest names one that is missing.
    """
    path = root / manifest.services.source
    if path.exists():
        return path
    if manifest.services.source_named:
        raise PreflightError(
            f"services.source is {manifest.services.source!r} and there is no such file or folder in {root}",
            "correct services.source in manifest.yaml",
        )
    return None


def digest(path: Path | None) -> str:
    """Return the digest of a file's or folder's content: names, executable bits, links and bytes.

    Raises PreflightError for what cannot be read.
    """
    try:
        return _digest(path)
    except OSError as error:
        message = f"services.source cannot be read: {error.filename}: {error.strerror}"
        raise PreflightError(message, "make it readable for this user") from None


def _digest(path: Path | None) -> str:
    total = hashlib.sha256()
    for name, kind in sorted(_digests(path).items()) if path else ():
        total.update(f"{name}\0{kind}\0".encode("utf-8", "surrogateescape"))
    return f"sha256:{total.hexdigest()}"


def _digests(path: Path) -> dict[str, str]:
    """Return what each file is, by its name: a link and where to, or executable or not and its digest."""
    return {name: _kind(file) for name, file in _content(path)}


def _kind(file: Path) -> str:
    if file.is_symlink():
        return f"link {file.readlink()}"
    mode = "x" if os.access(file, os.X_OK) else "-"
    return f"{mode} {hashlib.sha256(file.read_bytes()).hexdigest()}"


def copy(path: Path | None, folder: Path, *, expected: str, name: str) -> None:
    """Have a copy of the source at `folder`/`name`, whole or not at all; `expected` is its digest.

    A copy that was changed since is made anew. Raises PreflightError when the source changes meanwhile.
    """
    if is_intact(folder):
        return
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    for stale in folder.parent.glob(".copy-*"):
        shutil.rmtree(stale, ignore_errors=True)
    beside = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".copy-"))
    try:
        target = beside / name
        if path and path.is_dir():
            shutil.copytree(path, target, symlinks=True, ignore=shutil.ignore_patterns(*_LEFT_OUT, "*.pyc"))
        elif path:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, target)
        if digest(target if path else None) != expected:
            raise PreflightError("the source changed while it was copied", "invoke deploy")
        files.replace(_seal(folder), json.dumps(_digests(beside)), mode=0o600)
        if not folder.is_dir():
            beside.rename(folder)
            return
        shutil.copytree(beside, folder, symlinks=True, dirs_exist_ok=True)
        shutil.rmtree(beside)
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        raise


def is_intact(folder: Path) -> bool:
    """Return whether every file of a copy is as it was made; what its process wrote beside them may stay."""
    try:
        made: dict[str, str] = json.loads(_seal(folder).read_bytes())
        return folder.is_dir() and made.items() <= _digests(folder).items()
    except (OSError, ValueError, AttributeError):
        return False


def _seal(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.digest")


def _content(path: Path) -> Iterator[tuple[str, Path]]:
    if path.is_file():
        yield path.name, path
        return
    for folder, folders, names in os.walk(path):
        folders[:] = [f for f in folders if f not in _LEFT_OUT]
        links = [f for f in folders if (Path(folder) / f).is_symlink()]
        for name in [*names, *links]:
            file = Path(folder) / name
            if not name.endswith(".pyc") and (file.is_symlink() or file.is_file()):
                yield file.relative_to(path).as_posix(), file

"""The source that the local engine runs: its digest, and one copy for each release.

A rollback runs the copy of its release, not the present content of the folder.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from swiftdeploy_tasks.errors import PreflightError
from swiftdeploy_tasks.manifest.model import Manifest
from swiftdeploy_tasks.model.release import Release
from swiftdeploy_tasks.proxy import root_files
from swiftdeploy_tasks.proxy.root_files import Made
from swiftdeploy_tasks.system import files

_SHOWN = 5
DEFAULT_PROCESS = ("python", "app/main.py")
_LEFT_OUT = ("__pycache__", ".git", ".swiftdeploy", ".venv", "node_modules")


def process(manifest: Manifest, root: Path) -> tuple[str, ...]:
    """Return the words that start the app; raises PreflightError when nothing says how."""
    if words := manifest.services.process or manifest.services.command:
        return words
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
    if path.is_file() or path.is_dir():
        return path
    if path.exists():
        raise PreflightError(
            f"services.source is {manifest.services.source!r}, which is neither a file nor a folder",
            "correct services.source in manifest.yaml",
        )
    if manifest.services.source_named:
        raise PreflightError(
            f"services.source is {manifest.services.source!r} and there is no such file or folder in {root}",
            "correct services.source in manifest.yaml",
        )
    return None


def lacks(word: str, manifest: Manifest, root: Path, home: Path) -> str:
    """Return why the program `word`, a path, cannot be run where the app runs, "" when it can."""
    path, kept = root / word, source(manifest, root)
    if not path.is_file():
        return f"there is no file {path}"
    if not os.access(path, os.X_OK):
        return f"{path} is not executable"
    if Path(word).is_absolute() or kept is None:
        return ""
    ours = root_files.made(manifest, root=root, home=home)
    held = {os.path.normpath(file) for _, file in _content(kept, ours)}
    is_held = os.path.normpath(path) in held
    return "" if is_held else f"it is not in the copy of services.source ({manifest.services.source})"


def digest(path: Path | None, ours: Made | None = None) -> str:
    """Return the digest of a file's or folder's content: names, executable bits, links and bytes.

    Files that are `ours` are left out, and so is what is neither a file nor a folder nor a link. Raises
    PreflightError for what cannot be read.
    """
    try:
        return _digest(path, ours)
    except OSError as error:
        message = f"services.source cannot be read: {error.filename}: {error.strerror}"
        raise PreflightError(message, "make it readable for this user") from None


def _digest(path: Path | None, ours: Made | None) -> str:
    total = hashlib.sha256()
    for name, kind in sorted(_digests(path, ours).items()) if path else ():
        total.update(f"{name}\0{kind}\0".encode("utf-8", "surrogateescape"))
    return f"sha256:{total.hexdigest()}"


def _digests(path: Path, ours: Made | None = None) -> dict[str, str]:
    """Return what each file is, by its name: a link and where to, or executable or not and its digest."""
    return {name: _kind(file) for name, file in _content(path, ours)}


def _kind(file: Path) -> str:
    if file.is_symlink():
        return f"link {file.readlink()}"
    mode = "x" if os.access(file, os.X_OK) else "-"
    with file.open("rb") as content:
        return f"{mode} {hashlib.file_digest(content, 'sha256').hexdigest()}"


def copy(
    path: Path | None,
    folder: Path,
    *,
    expected: str,
    name: str,
    aside: Path,
    ours: Made | None = None,
) -> tuple[str, ...]:
    """Have a copy of the source at `folder`/`name`, whole or not at all; `expected` is its digest.

    A copy that was changed since is made again, and what it held is moved to `aside`; returns those names.
    Raises PreflightError when the source changes meanwhile.
    """
    if is_intact(folder):
        return ()
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    for stale in folder.parent.glob(".copy-*"):
        shutil.rmtree(stale, ignore_errors=True)
    beside = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".copy-"))
    try:
        target = beside / name
        if path:
            _copy(path, target, ours)
        if digest(target if path else None) != expected:
            raise PreflightError("the source changed while it was copied", "invoke deploy")
        moved = move_written(folder, aside, only_changed=True)
        files.replace(_seal(folder), json.dumps(_digests(beside)), mode=0o600)
        if not folder.is_dir():
            beside.rename(folder)
            return moved
        shutil.copytree(beside, folder, symlinks=True, dirs_exist_ok=True)
        shutil.rmtree(beside)
        return moved
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        raise


def _copy(path: Path, target: Path, ours: Made | None) -> None:
    """Copy what `_content` has of the source, and its folders, also empty ones."""
    if path.is_file():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, target)
        return
    for folder, _, _ in _folders(path, ours):
        there = target / folder.relative_to(path)
        there.mkdir(parents=True, exist_ok=True)
        shutil.copymode(folder, there)
    for name, file in _content(path, ours):
        shutil.copy2(file, target / name, follow_symlinks=False)


def folder(home: Path, release: Release) -> Path:
    """Return where the copy of a release lies."""
    return home / "releases" / release.id / "source"


def listed(names: tuple[str, ...]) -> str:
    """Return how many files these are and the first of their names."""
    shown, more = ", ".join(names[:_SHOWN]), len(names) - _SHOWN
    rest = f" and {more} more" if more > 0 else ""
    return f"{len(names)} file{'s' if len(names) > 1 else ''} ({shown}{rest})"


def data_folder(home: Path, release: str) -> Path:
    """Return where files that a release's app wrote are kept when its copy of the source goes."""
    return home / "data" / release


def is_intact(folder: Path) -> bool:
    """Return whether every file of a copy is unchanged; files that its process added are ignored."""
    made = _sealed(folder)
    if made is None or not folder.is_dir():
        return False
    try:
        return all(_kind(folder / name) == kind for name, kind in made.items())
    except OSError:
        return False


def written(folder: Path) -> tuple[str, ...]:
    """Return the files of a copy that are new or changed since it was made, by name; () for no copy."""
    made = _sealed(folder)
    if made is None or not folder.is_dir():
        return ()
    try:
        found = sorted(_content(folder))
        return tuple(name for name, file in found if name not in made or _kind(file) != made[name])
    except OSError:
        return ()


def move_written(folder: Path, aside: Path, *, only_changed: bool = False) -> tuple[str, ...]:
    """Move what was written into a copy to the folder `aside`; return the names. Raises OSError.

    With `only_changed`, new files stay. One that is there already is not replaced: another name is taken.
    """
    made = _sealed(folder) or {}
    names = tuple(name for name in written(folder) if name in made or not only_changed)
    for name in names:
        target = aside / name
        files.make_folder(target.parent)
        (folder / name).rename(next(place for place in _places(target) if not place.exists()))
    return names


def _places(target: Path) -> Iterator[Path]:
    yield target
    yield from (target.with_name(f"{target.name}.{number}") for number in itertools.count(2))


def _sealed(folder: Path) -> dict[str, str] | None:
    """Return what each file of the copy was when it was made, None where that is not known."""
    try:
        made = json.loads(_seal(folder).read_bytes())
    except (OSError, ValueError):
        return None
    return made if isinstance(made, dict) else None


def _seal(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.digest")


def _content(path: Path, ours: Made | None = None) -> Iterator[tuple[str, Path]]:
    """Yield each file and link that belongs to a source or a copy, by its name; raises OSError.

    Sockets, pipes and devices are left out, because they cannot be copied.
    """
    if path.is_file():
        yield path.name, path
        return
    for folder, links, names in _folders(path, ours):
        for name in [*names, *links]:
            file = folder / name
            if file.is_symlink() or file.is_file():
                yield file.relative_to(path).as_posix(), file


def _folders(path: Path, ours: Made | None) -> Iterator[tuple[Path, list[str], list[str]]]:
    """Yield each folder that belongs to a source, with its links to folders and its other names."""
    for place, folders, names in os.walk(path, onerror=_raise):
        folder = Path(place)
        folders[:] = [name for name in folders if _belongs(folder / name, ours)]
        links = [name for name in folders if (folder / name).is_symlink()]
        yield folder, links, [name for name in names if _belongs(folder / name, ours)]


def _belongs(path: Path, ours: Made | None) -> bool:
    return path.name not in _LEFT_OUT and path.suffix != ".pyc" and not (ours and ours.has(path))


def _raise(error: OSError) -> None:
    raise error

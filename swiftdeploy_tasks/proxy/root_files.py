"""The files that SwiftDeploy makes in the project's folder: only those with our mark are replaced."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from swiftdeploy_tasks.errors import PreflightError
from swiftdeploy_tasks.manifest.model import Manifest
from swiftdeploy_tasks.proxy import generated_files
from swiftdeploy_tasks.settings import STATE
from swiftdeploy_tasks.system import files

ROOT_FILES = ("nginx.conf", "docker-compose.yml")
_HEAD = 4096
_LINE = 65536
_GENERATOR = '<meta name="generator" content="SwiftDeploy">'
_COMMENT = "\n<!-- Made by SwiftDeploy -->\n"
_EXAMPLE = "rendered: deploy/"


def folder_of(rendered: str, *, root: Path, state: Path) -> Path:
    """Return the folder for nginx.conf and docker-compose.yml that the key `rendered` names.

    Raises PreflightError where it leads out of the project, into the state folder or to a file.
    """
    folder = (root / rendered).resolve()
    closed = next((one for one in (state, (root / STATE).resolve()) if folder.is_relative_to(one)), None)
    if not folder.is_relative_to(root):
        why = f"leads out of the project, to {folder}"
    elif closed:
        why = f"is in the state folder {closed}"
    elif any(path.exists() and not path.is_dir() for path in (folder, *folder.parents)):
        why = "is not a folder"
    else:
        return folder
    raise PreflightError(
        f"rendered is {rendered!r}, which {why}",
        f"name a folder inside the project in manifest.yaml, for example {_EXAMPLE}",
    )


def foreign_files(folder: Path) -> tuple[Path, ...]:
    """Return the files that have the name of a rendered one and were not made by us."""
    paths = (folder / name for name in ROOT_FILES)
    return tuple(path for path in paths if _is_there(path) and not is_rendered(path))


def refuse_foreign(rendered: str, *, root: Path, state: Path) -> Path:
    """Return the folder that `rendered` names; raises PreflightError where a file there is not ours."""
    folder = folder_of(rendered, root=root, state=state)
    if found := foreign_files(folder):
        names = " and ".join(str(path.relative_to(root)) for path in found)
        were = "were" if len(found) > 1 else "was"
        raise PreflightError(
            f"{names} {were} not made by SwiftDeploy and will not be replaced; rendered is {rendered!r}",
            f"name another folder for the rendered files in manifest.yaml, for example {_EXAMPLE}",
        )
    return folder


def is_rendered(path: Path) -> bool:
    """Return whether the path is a regular file whose first line says that SwiftDeploy rendered it."""
    return _head(path).startswith(generated_files.MARK.encode())


def is_report(path: Path) -> bool:
    """Return whether the path is a regular file that `audit` or `status --html` wrote."""
    if path.suffix == ".html":
        return _GENERATOR.encode() in _head(path) or _head(path, end=True).endswith(_COMMENT.encode())
    head = _head(path)
    return head.startswith(b"# Audit report of ") and b" Made at " in head


def marked(path: Path, text: str) -> str:
    """Return a report's text with our mark, which a page from the project's own template may lack."""
    return text if path.suffix != ".html" or _GENERATOR in text[:_HEAD] else text + _COMMENT


def places(rendered: tuple[str, ...], *, root: Path, state: Path) -> Iterator[Path]:
    """Return each folder in which files of ours may lie: the project's, and those of these keys."""
    seen = {root}
    yield root
    for name in rendered:
        try:
            folder = folder_of(name, root=root, state=state)
        except PreflightError:
            continue
        if folder not in seen:
            seen.add(folder)
            yield folder


@dataclass(frozen=True)
class Made:
    """What SwiftDeploy makes in the project: `written` by place alone, `rendered` where it has our mark."""

    root: Path
    home: Path
    written: frozenset[Path]
    rendered: frozenset[Path]

    def has(self, path: Path) -> bool:
        """Return whether SwiftDeploy made this, or keeps its state in it."""
        if path.is_relative_to(self.home) or path.is_relative_to(self.root / STATE):
            return True
        if path in self.written or files.is_temporary(path.name):
            return True
        if path in self.rendered:
            return is_rendered(path)
        if path == self.root / "history.jsonl":
            return _is_history(path)
        return (path.suffix == ".html" or path == self.root / "audit_report.md") and is_report(path)


def made(manifest: Manifest, *, root: Path, home: Path, also: Iterable[Path] = ()) -> Made:
    """Return what is SwiftDeploy's in this project, `also` included: no build context or source has it."""
    return Made(
        root=root,
        home=home,
        written=frozenset((*_written(manifest, root, home), *also)),
        rendered=frozenset(
            folder / name
            for folder in places((manifest.rendered,), root=root, state=home)
            for name in ROOT_FILES
        ),
    )


def _written(manifest: Manifest, root: Path, home: Path) -> Iterator[Path]:
    yield root / "manifest.yaml"
    if home == (root / STATE).resolve():
        yield root / "history.jsonl"
    if manifest.history.witness:
        witness = root / manifest.history.witness
        yield from (witness, witness.with_name(f"{witness.name}.old"))


def _is_history(path: Path) -> bool:
    """Return whether the file's first line is a record of ours."""
    try:
        with path.open("rb") as file:
            record = json.loads(file.readline(_LINE))
    except (OSError, ValueError):
        return False
    return isinstance(record, dict) and {"v", "seq", "prev", "hash"} <= record.keys()


def _is_there(path: Path) -> bool:
    return path.exists() or path.is_symlink()


def _head(path: Path, *, end: bool = False) -> bytes:
    """Return how a regular file begins, or ends; b"" for a link and for what cannot be read."""
    try:
        if path.is_symlink() or not path.is_file():
            return b""
        with path.open("rb") as file:
            if end:
                file.seek(max(0, path.stat().st_size - _HEAD))
            return file.read(_HEAD)
    except OSError:
        return b""

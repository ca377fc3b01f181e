"""Generated files: marked with a digest, compared with what is on disk, and written."""

from __future__ import annotations

import difflib
import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from swiftdeploy_tasks.system import files

MARK = "# Made by SwiftDeploy "


_REASONS = {
    "created": "missing",
    "unchanged": "",
    "updated": "inputs changed",
    "mended": "edited by hand",
}


@dataclass(frozen=True)
class FileChange:
    """A file as it should be beside what is there; `state` is created, unchanged, updated or mended."""

    path: Path
    text: str
    state: str
    diff: str

    @property
    def reason(self) -> str:
        """Why it would be written, "" where it would not be."""
        return _REASONS[self.state]

    def document(self) -> dict[str, str]:
        """The form of `files` in docs/ci.md."""
        return {"path": str(self.path), "state": self.state, "diff": self.diff}


def compare(folder: Path, rendered: Mapping[str, str]) -> tuple[FileChange, ...]:
    """Return, for each rendered file, what is there now against what should be; nothing is written."""
    return tuple(_compare(folder / name, text) for name, text in rendered.items())


def write(changes: Iterable[FileChange], *, aside: Path) -> None:
    """Write the files that differ, all or none; raises OSError.

    One that was edited by hand is first copied into the folder `aside`.
    """
    changed = [change for change in changes if change.state != "unchanged"]
    for change in changed:
        if change.state == "mended":
            keep_aside(change.path, aside)
    files.replace_all({change.path: change.text for change in changed})


def keep_aside(path: Path, aside: Path) -> None:
    """Copy a file into the folder `aside`, named by its content; raises OSError."""
    files.make_folder(aside)
    old = path.read_bytes()
    files.replace(aside / f"{path.name}.{hashlib.sha256(old).hexdigest()[:8]}", old, mode=0o600)


def is_intact(path: Path) -> bool:
    """Return whether a rendered file exists and is unedited."""
    try:
        return is_whole(path.read_bytes().decode("utf-8", "replace"))
    except OSError:
        return False


def is_whole(text: str) -> bool:
    """Return whether a text is a rendered file that is unedited."""
    head, _, rest = text.partition("\n")
    return content_digest(head + "\n") == digest_of(rest)


def content_digest(text: str) -> str:
    """Return the digest that a rendered file's first line names, "" where it names none."""
    found = re.match(r"# .* sha256:([0-9a-f]{16})\n", text)
    return found[1] if found else ""


def _compare(path: Path, text: str) -> FileChange:
    try:
        old = path.read_bytes().decode("utf-8", "replace")
    except FileNotFoundError:
        return FileChange(path, text, "created", _diff(path, "", text))
    if old == text:
        return FileChange(path, text, "unchanged", "")
    head, _, rest = old.partition("\n")
    by_hand = content_digest(head + "\n") != digest_of(rest)
    return FileChange(path, text, "mended" if by_hand else "updated", _diff(path, old, text))


def _diff(path: Path, old: str, new: str) -> str:
    lines = difflib.unified_diff(
        old.splitlines(), new.splitlines(), f"{path.name} (now)", f"{path.name} (manifest)", lineterm=""
    )
    return "\n".join(lines)


def headed(body: str) -> str:
    """Return the file's text under a header that names us and carries the digest of the text."""
    return f"{MARK}from manifest.yaml; edit that instead. sha256:{digest_of(body)}\n{body}"


def digest_of(text: str) -> str:
    """Return the first 16 hex digits of the text's SHA-256."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]

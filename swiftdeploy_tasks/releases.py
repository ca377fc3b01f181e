"""Which releases are kept, and which were confirmed, newest last?

Stands apart because going back needs both after the verb that made them is long gone. It runs nothing.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from swiftdeploy_tasks import files
from swiftdeploy_tasks.release import Release

KEPT = 5


@dataclass(frozen=True)
class Confirmation:
    """One release that was seen to serve; `since` is RFC 3339 in UTC."""

    release: str
    mode: str
    version: str
    since: str


def confirmed(folder: Path) -> tuple[Confirmation, ...]:
    """Return the stack of confirmed releases, the present one last; empty where none can be read."""
    try:
        rows = json.loads((folder / "confirmed.json").read_bytes())
        return tuple(Confirmation(**row) for row in rows)
    except (OSError, ValueError, TypeError):
        return ()


def present(folder: Path) -> str:
    """Return the id of the release confirmed last, "" when there is none."""
    stack = confirmed(folder)
    return stack[-1].release if stack else ""


def confirm(folder: Path, release: Release) -> None:
    """Keep the release's description and put it on top of the stack, unless it is there already."""
    stack = confirmed(folder)
    if stack and stack[-1].release == release.id:
        return
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    files.make_folder(folder / release.id)
    files.replace(folder / release.id / "release.json", release.label + "\n", mode=0o600)
    rows = [*stack, Confirmation(release.id, release.mode, release.version, now)]
    files.replace(folder / "confirmed.json", json.dumps([asdict(row) for row in rows]) + "\n", mode=0o600)

"""The releases that are kept, and the stack of confirmed ones, newest last."""

from __future__ import annotations

import json
import shutil
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from swiftdeploy_tasks.engines.local import source_copy
from swiftdeploy_tasks.model.release import Release, from_label
from swiftdeploy_tasks.system import files

KEPT = 5


@dataclass(frozen=True)
class Confirmation:
    """One time that a release was seen to serve; `since` and `until` are RFC 3339 in UTC."""

    release: str
    mode: str
    version: str
    since: str
    until: str | None = None
    rolled_back: bool = False


def confirmations(folder: Path) -> tuple[Confirmation, ...]:
    """Return every confirmation, oldest first; empty where none can be read."""
    try:
        rows = json.loads((folder / "confirmed.json").read_bytes())
        return tuple(Confirmation(**row) for row in rows)
    except (OSError, ValueError, TypeError):
        return ()


def stack(rows: tuple[Confirmation, ...]) -> tuple[Confirmation, ...]:
    """Return the confirmations that no rollback removed, the present one last."""
    return tuple(row for row in rows if not row.rolled_back)


def can_go_back(folder: Path) -> bool:
    """Return whether a rollback has a release to go back to."""
    return len(stack(confirmations(folder))) > 1


def serving_since(folder: Path) -> str | None:
    """Return when the release confirmed last began to serve, by a confirmation or a rollback to it."""
    rows = confirmations(folder)
    held = stack(rows)
    if not held:
        return None
    after = rows[rows.index(held[-1]) + 1 :]
    return max(held[-1].since, *(row.until or "" for row in after)) if after else held[-1].since


def present(folder: Path) -> str:
    """Return the id of the release confirmed last, "" when there is none."""
    held = stack(confirmations(folder))
    return held[-1].release if held else ""


def was_rolled_back(folder: Path, release: str) -> bool:
    """Return whether the last that happened to this release was a rollback that removed it."""
    mine = [row for row in confirmations(folder) if row.release == release]
    return bool(mine) and mine[-1].rolled_back and release != present(folder)


def above(folder: Path, release: str) -> frozenset[str]:
    """Return the releases that going back to this one would remove."""
    names = [row.release for row in stack(confirmations(folder))]
    later = names[len(names) - names[::-1].index(release) :] if release in names else []
    return frozenset(later) - {release}


def confirm(folder: Path, release: Release) -> None:
    """Keep the release's description and put it on top of the stack, unless it is there already."""
    rows = confirmations(folder)
    held = stack(rows)
    if held and held[-1].release == release.id:
        return
    now = _now()
    files.make_folder(folder / release.id)
    files.replace(folder / release.id / "release.json", release.label + "\n", mode=0o600)
    before = tuple(replace(row, until=now) if held and row is held[-1] else row for row in rows)
    _write(folder, (*before, Confirmation(release.id, release.mode, release.version, now)))
    _prune(folder)


def roll_back(folder: Path, target: Confirmation) -> None:
    """Remove from the stack all that was confirmed after `target`, which is present again."""
    rows = confirmations(folder)
    index = rows.index(target)
    now = _now()
    later = tuple(replace(row, until=row.until or now, rolled_back=True) for row in rows[index + 1 :])
    _write(folder, (*rows[:index], replace(target, until=None), *later))


def description(folder: Path, release: str) -> Release | None:
    """Return a kept release, None when it is gone."""
    try:
        return from_label((folder / release / "release.json").read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        return None


def _prune(folder: Path) -> None:
    """Keep the releases on top of the stack, KEPT of them, and forget what the others ran."""
    last = list(dict.fromkeys(row.release for row in reversed(stack(confirmations(folder)))))[:KEPT]
    for path in folder.iterdir():
        if path.is_dir() and not path.name.startswith(".") and path.name not in last:
            with suppress(OSError):
                remove(path)


def remove(path: Path) -> Path | None:
    """Remove what is kept of a release; return where files that its app wrote are now, None for none.

    Raises OSError, and then removes nothing that was written.
    """
    aside = source_copy.data_folder(path.parent.parent, path.name)
    moved = source_copy.move_written(path / "source", aside)
    shutil.rmtree(path, ignore_errors=True)
    return aside if moved else None


def _write(folder: Path, rows: tuple[Confirmation, ...]) -> None:
    text = json.dumps([asdict(row) for row in rows], indent=1)
    files.replace(folder / "confirmed.json", text + "\n", mode=0o600)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

"""Checks that this user can finish a verb, before its first effect."""

from __future__ import annotations

import os
import pwd
import shlex
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from swiftdeploy_tasks.engines.local import start_notes
from swiftdeploy_tasks.errors import PreflightError
from swiftdeploy_tasks.settings import Settings

# Written by the app, by nginx in its container or by a person; no verb needs to write them.
_NOT_OURS = frozenset({"source", "data", "edited", "counts"})


def refuse_another_user(places: Settings) -> None:
    """Raise PreflightError where the state is closed to this user, or another user started what runs."""
    closed = list(_closed(places.state))
    if closed:
        owner, me = _name(closed[0].lstat().st_uid), _name(os.getuid())
        more = f" (and {len(closed) - 1} more)" if len(closed) > 1 else ""
        # A closed history alone is the history's own error: rollback and teardown go on without it.
        history = sorted(filter(_is_closed, places.history.parent.glob(f"{places.history.name}*")))
        paths = " ".join(shlex.quote(str(path)) for path in (places.state, *history))
        raise PreflightError(
            f"{closed[0]}{more} belongs to {owner} and is closed to {me}",
            f"sudo invoke teardown && sudo chown -R {me} {paths}",
        )
    for started in start_notes.noted(places.state):
        if started.user != os.getuid() and started.lives:
            owner = _name(started.user)
            slot = started.marks.get(start_notes.SLOT)
            what = f"app-{slot}" if slot else started.marks.get(start_notes.PART, "a process")
            raise PreflightError(
                f"{what} (pid {started.pid}) was started by {owner}, and this is {_name(os.getuid())}",
                f"sudo -u {owner} invoke teardown",
            )


def _closed(state: Path) -> Iterator[Path]:
    """Yield the files and folders of the state that belong to another user and that this one cannot write."""
    if _is_closed(state):
        yield state
        return
    for folder, folders, names in os.walk(state):
        folders[:] = [name for name in folders if name not in _NOT_OURS]
        yield from (path for name in (*folders, *names) if _is_closed(path := Path(folder, name)))


def _is_closed(path: Path) -> bool:
    with suppress(OSError):
        is_anothers = not path.is_symlink() and path.lstat().st_uid != os.getuid()
        needed = os.R_OK | os.W_OK | (os.X_OK if path.is_dir() else 0)
        return is_anothers and not os.access(path, needed)
    return False


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)

"""Notes of the processes that the local engine started, one file each in the state folder.

A process can erase its environment and its parent can die; its pid with its start time, and the session that
it leads, still identify it. The notes move with a project folder that is renamed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from swiftdeploy_tasks.system import files

# The state and the 22nd field of /proc/PID/stat, counted from the one behind the name.
_STATE, _START_TICKS = 0, 19
MARKS = PROJECT, HOME, PART, SLOT, RELEASE, SPEC = (
    "SWIFTDEPLOY_PROJECT",
    "SWIFTDEPLOY_HOME",
    "SWIFTDEPLOY_PART",
    "SWIFTDEPLOY_SLOT",
    "SWIFTDEPLOY_RELEASE",
    "SWIFTDEPLOY_SPEC",
)


@dataclass(frozen=True)
class StartNote:
    """One note: `start` is boot, pid namespace and start time, `marks` the variables that say what it is.

    `user` started it; run by root, it may have another user since.
    """

    pid: int
    start: str
    folder: str
    user: int
    marks: Mapping[str, str]

    @property
    def home(self) -> str:
        """The state folder under which it was started."""
        return self.marks.get(HOME, "")

    @property
    def lives(self) -> bool:
        """Return whether the noted process runs still."""
        return start_of(self.pid) == self.start


def start_of(pid: int, *, ended: bool = False) -> str:
    """Return what no later process of this pid shares: boot, pid namespace, start time.

    Return "" for one that is gone, and without `ended` for one that nothing has reaped yet.
    """
    try:
        line = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    fields = line.rpartition(")")[2].split()
    if len(fields) <= _START_TICKS or (fields[_STATE] in {"Z", "X"} and not ended):
        return ""
    epoch = _epoch()
    return f"{epoch}/{fields[_START_TICKS]}" if epoch else ""


def _epoch() -> str:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot}/{Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return ""


def note(home: Path, pid: int, marks: Mapping[str, str]) -> None:
    """Note a process that was just started; raises OSError."""
    folder = _folder(home)
    files.make_folder(folder)
    started = StartNote(pid, start_of(pid, ended=True), _identity(home), os.getuid(), dict(marks))
    files.replace(folder / f"{pid}.json", json.dumps(asdict(started)), mode=0o600)


def forget(home: Path, started: StartNote) -> None:
    """Remove the note of a process of which nothing is left."""
    with suppress(OSError):
        (_folder(home) / f"{started.pid}.json").unlink(missing_ok=True)


def noted(home: Path) -> list[StartNote]:
    """Return the notes of this boot of processes started from this state folder, under whatever path.

    A copy of a state folder holds notes of processes that belong to the original: they are left out.
    """
    here, epoch = _identity(home), _epoch()
    return [
        one
        for one in _read(home)
        if one.start.startswith(f"{epoch}/") and (one.folder == here or not Path(one.home).exists())
    ]


def _read(home: Path) -> Iterator[StartNote]:
    try:
        paths = sorted(_folder(home).glob("*.json"))
    except OSError:
        return
    for path in paths:
        with suppress(OSError, ValueError, TypeError, AttributeError):
            one = StartNote(**json.loads(path.read_text(encoding="utf-8")))
            if one.start and isinstance(one.pid, int) and one.marks.get(HOME):
                yield one


def _identity(home: Path) -> str:
    try:
        seen = home.stat()
    except OSError:
        return ""
    return f"{seen.st_dev}:{seen.st_ino}"


def _folder(home: Path) -> Path:
    return home / "run" / "started"

"""An inter-process lock for the history file.

A reader continues without it where it may not open the file. Waiting is bounded.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from swiftdeploy_tasks.errors import HistoryError
from swiftdeploy_tasks.history import lines
from swiftdeploy_tasks.system import files

LOCK_SECONDS = 10.0


@contextmanager
def hold(path: Path, *, to_write: bool) -> Iterator[None]:
    """Hold the lock file; raises HistoryError when it stays held, OSError where it cannot be made.

    With `to_write` False, a lock file that is missing or closed to this user is skipped.
    """
    with ExitStack() as held:
        with suppress(*([] if to_write else [FileNotFoundError, PermissionError])):
            if to_write:
                files.make_folder(path.parent)
            fd = held.enter_context(lines.opened(path, os.O_RDWR | os.O_CREAT if to_write else os.O_RDONLY))
            # Closing alone would leave the lock with a child that was forked meanwhile.
            held.callback(fcntl.flock, fd, fcntl.LOCK_UN)
            _wait(fd, path)
        yield


def _wait(fd: int, path: Path) -> None:
    deadline, pause = time.monotonic() + LOCK_SECONDS, 0.0005
    while True:
        with suppress(BlockingIOError):
            return fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if time.monotonic() >= deadline:
            raise HistoryError(
                f"The history is busy: another process has held {path} for {LOCK_SECONDS:g} s.",
                f"fuser -v {path}",
            )
        time.sleep(pause)
        pause = min(pause * 2, 0.002)

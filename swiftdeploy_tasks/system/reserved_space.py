"""Disk blocks that are reserved for rollback, teardown and the undo of a change.

These write a few small files. On a full disk they free the reserve a part at a time, so that another program
that fills the disk meanwhile cannot take all of it at once.
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path

NAME = "reserve"
SIZE, PART = 1 << 20, 1 << 18
FULL = (errno.ENOSPC, errno.EDQUOT)

# The reserve that this process may spend.
_OPEN: set[Path] = set()


def keep(state: Path) -> None:
    """Allocate the reserve, or what was spent of it, and let this process spend none of it from now on.

    On a full disk there is no reserve.
    """
    _OPEN.clear()
    with suppress(OSError):
        _allocate(state / NAME, SIZE)


def open_for_use(state: Path) -> None:
    """Let this process spend the reserve, and spend a part of it now where the disk is full."""
    _OPEN.add(state / NAME)
    probe = state / f".{NAME}.probe"
    try:
        _allocate(probe, PART)
    except OSError:
        spend()
    finally:
        with suppress(OSError):
            probe.unlink(missing_ok=True)


def spend(*files: Path) -> bool:
    """Give one part back to the disk; False where none is left, or this process may not spend it.

    A reserve on another disk than that of `files` is kept.
    """
    for path in _OPEN:
        with suppress(OSError):
            disks = {file.parent.stat().st_dev for file in files}
            if disks and path.stat().st_dev not in disks:
                continue
            descriptor = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                if left := os.fstat(descriptor).st_size:
                    os.ftruncate(descriptor, max(0, left - PART))
                    return True
            finally:
                os.close(descriptor)
    return False


def forget(state: Path) -> None:
    """Remove the reserve: nothing of the project runs any more."""
    with suppress(OSError):
        (state / NAME).unlink(missing_ok=True)


def _allocate(path: Path, size: int) -> None:
    """Allocate blocks for this file, not a hole; raises OSError, the file's size then unchanged."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        before = os.fstat(descriptor).st_size
        try:
            os.posix_fallocate(descriptor, 0, size)
        except OSError:
            os.ftruncate(descriptor, before)
            raise
    finally:
        os.close(descriptor)

"""Turns errors of the host and of a project's own modules into ours."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

from swiftdeploy_tasks.errors import PreflightError, SwiftDeployError
from swiftdeploy_tasks.system.libraries import hidden_by

_REFUSALS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM)


def translated(error: Exception, root: Path) -> SwiftDeployError | None:
    """Return our error for a file that the host refuses, or a library hidden in `root`; None for another."""
    return _of_the_host(error) or _of_the_project(error, root)


def _of_the_host(error: Exception) -> SwiftDeployError | None:
    found = error.args[0] if isinstance(error, shutil.Error) else error
    text = str(found)
    if isinstance(error, OSError) and (
        error.errno in _REFUSALS or any(os.strerror(number) in text for number in _REFUSALS)
    ):
        return PreflightError(
            f"a file cannot be written or read: {text[:300]}", "df -h, and ls -ld on the folder"
        )
    return None


def _of_the_project(error: Exception, root: Path) -> SwiftDeployError | None:
    hiding = hidden_by(error, root) if isinstance(error, ImportError) else None
    if hiding is None:
        return None
    return PreflightError(
        f"{hiding} was imported in place of the Python module {hiding.stem}: {error}",
        f"rename {hiding.name}, or run swiftdeploy in place of invoke",
    )

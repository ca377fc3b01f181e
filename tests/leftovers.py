"""What tests could not put away themselves, because they were interrupted or their worker died.

A test run removes this at its end: projects that are still noted, and processes that carry its mark.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

MARK = "TEST_RUN"  # in the environment of what tests start, verbs too: the folder of the run's notes


def begin() -> None:
    """Open the notes of a run; a request to end it is then an interruption, so that it sweeps."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    os.environ[MARK] = tempfile.mkdtemp(prefix="swiftdeploy-tests-")


def note(name: str, **what: Any) -> Path | None:
    """Write down a project that a sweep has to remove, until the note is unlinked; None outside of a run."""
    if not (folder := os.environ.get(MARK)):
        return None
    path = Path(folder) / name
    path.write_text(json.dumps(what))
    return path


def mark() -> dict[str, str]:
    """The run's mark, for a process whose environment is not inherited."""
    return {MARK: os.environ[MARK]} if MARK in os.environ else {}


def sweep() -> list[str]:
    """Remove what is left of this run; return its names."""
    from tests.e2e.project import Project

    folder = Path(os.environ.pop(MARK))
    swept = [f"{process.name()} (pid {process.pid})" for process in _marked(str(folder))]
    for path in sorted(folder.iterdir()):
        what = json.loads(path.read_text())
        Project(Path(what["root"]), what["engine"], path.name, {}).remove()
        swept.append(path.name)
    shutil.rmtree(folder)
    return swept


def _marked(folder: str) -> list[psutil.Process]:
    """End the processes that carry the mark, and return them."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.pid != os.getpid() and process.environ().get(MARK) == folder:
                process.kill()
                found.append(process)
    return found

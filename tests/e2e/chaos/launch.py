"""Run a verb that kills itself when it comes to a boundary: launch.py BOUNDARY VERB [WORD ...].

The boundary may be a pattern: `start app-*`. With STRIKE_SLOT set it kills the local app in that slot.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from fnmatch import fnmatch
from pathlib import Path

import psutil

from swiftdeploy_tasks.cli.program import main
from swiftdeploy_tasks.rollout import executor


def end_at(name: str) -> None:
    if not fnmatch(name, sys.argv[1]):
        return
    slot = os.environ.get("STRIKE_SLOT")
    for process in psutil.process_iter() if slot else ():
        with suppress(psutil.Error):
            own = process.environ()
            if (own.get("SWIFTDEPLOY_SLOT"), own.get("SWIFTDEPLOY_HOME")) == (slot, str(HOME)):
                process.kill()
    if not slot:
        os.kill(os.getpid(), signal.SIGKILL)


HOME = Path.cwd() / ".swiftdeploy"
if __name__ == "__main__":
    executor.boundary = end_at
    main(["swiftdeploy", *sys.argv[2:]])

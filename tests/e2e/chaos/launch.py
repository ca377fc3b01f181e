"""Run a verb that kills itself when it comes to a boundary: launch.py BOUNDARY VERB [WORD ...].

The boundary may be a pattern: `start app-*`.
"""

from __future__ import annotations

import os
import signal
import sys
from fnmatch import fnmatch

from swiftdeploy_tasks import apply
from swiftdeploy_tasks.program import main


def end_at(name: str) -> None:
    if fnmatch(name, sys.argv[1]):
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    apply.boundary = end_at
    main(["swiftdeploy", *sys.argv[2:]])

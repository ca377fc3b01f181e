"""Run a verb and let an editor save manifest.yaml meanwhile: meddling.py BOUNDARY FILE VERB [WORD ...].

When the verb first comes to the boundary (a pattern), FILE is renamed to manifest.yaml.
"""

from __future__ import annotations

import sys
from fnmatch import fnmatch
from pathlib import Path

from swiftdeploy_tasks.cli.program import main
from swiftdeploy_tasks.rollout import executor


def edit_at(name: str) -> None:
    saved = Path(sys.argv[2])
    if fnmatch(name, sys.argv[1]) and saved.exists():
        saved.replace("manifest.yaml")


if __name__ == "__main__":
    executor.boundary = edit_at
    main(["swiftdeploy", *sys.argv[3:]])

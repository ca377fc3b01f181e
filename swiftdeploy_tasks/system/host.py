"""Facts about this host for the policies: disk, load and memory.

A fact that cannot be read is left out, and the policy refuses its absence.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

LOAD_MINUTES = 5


def measure(paths: Iterable[Path]) -> dict[str, Any]:
    """Return free disk (GB of 10^9 bytes) for each path, 5-minute load a core, and memory used (percent).

    A path that is not there yet is measured where its nearest existing parent lies.
    """
    import psutil

    measured: dict[str, Any] = {"disks": [_disk(path) for path in paths], "load_minutes": LOAD_MINUTES}
    cores = os.cpu_count()
    if cores:
        measured |= {"cores": cores, "load_per_core": round(os.getloadavg()[1] / cores, 2)}
    measured["memory_used_percent"] = psutil.virtual_memory().percent
    return measured


def _disk(path: Path) -> dict[str, Any]:
    import psutil

    there = next((p for p in (path, *path.parents) if p.exists()), None)
    try:
        free = psutil.disk_usage(str(there)).free
    except OSError:
        return {"path": str(path)}
    return {"path": str(path), "free_gb": round(free / 1e9, 2)}

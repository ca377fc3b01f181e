"""Conflicts between the folders that the app mounts: volumes, folders in memory and the log volume."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from swiftdeploy_tasks.manifest.source import Conflict, Where, dotted
from swiftdeploy_tasks.settings import LOGS_MOUNT

# Where a container cannot have a folder of ours, or does not start with one.
_KERNEL = re.compile(r"/(?:proc|sys)(?:/|$)|/dev$")


def all_of(data: Mapping[str, Any]) -> Iterator[Conflict]:
    """Yield each conflict of paths and names, and a missing `rollout.overlap` where there are volumes."""
    services, rollout = data.get("services"), data.get("rollout")
    if not isinstance(services, dict):
        return
    tmpfs, volumes = _entries(services, "tmpfs", str), _entries(services, "volumes", dict)
    yield from _taken_paths(tmpfs, volumes)
    yield from _taken_names(data.get("name"), services.get("log_volume"), volumes)
    if volumes and isinstance(rollout, dict) and rollout.get("overlap") is None:
        message = "is missing, and services.volumes has an entry"
        fix = "write true where two releases can use the volumes at once, else false"
        yield Conflict(("rollout", "overlap"), None, message, fix)


def _entries(services: Mapping[str, Any], key: str, kind: type) -> dict[Where, Any]:
    found = services.get(key)
    entries = found if isinstance(found, list) else []
    return {("services", key, index): one for index, one in enumerate(entries) if isinstance(one, kind)}


def _taken_paths(tmpfs: Mapping[Where, str], volumes: Mapping[Where, Any]) -> Iterator[Conflict]:
    paths: dict[Where, object] = {**tmpfs}
    paths |= {(*where, "path"): one.get("path") for where, one in volumes.items()}
    taken = {LOGS_MOUNT: "the folder of the log volume"}
    for where, path in paths.items():
        if isinstance(path, str) and _KERNEL.match(path):
            yield Conflict(where, path, "is in a folder of the kernel", "give it another path")
        elif isinstance(path, str) and path in taken:
            yield Conflict(where, path, f"is also {taken[path]}", "give each its own path")
        elif isinstance(path, str):
            taken[path] = dotted(where)


def _taken_names(project: object, log_volume: object, volumes: Mapping[Where, Any]) -> Iterator[Conflict]:
    logs = log_volume if isinstance(log_volume, str) else f"{project}-logs"
    taken = {logs: "the log volume"}
    for where, one in volumes.items():
        place, name = (*where, "name"), f"{project}-{one.get('name')}"
        if name in taken:
            message = f"is the name of {taken[name]}"
            yield Conflict(place, one.get("name"), message, "give it another name")
        taken[name] = dotted(place)

"""Checks the folders that an app mounts against each other: volumes, folders in memory, logs. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from swiftdeploy_tasks.manifest.source import Where, dotted

# Where a container finds the log volume.
LOGS_MOUNT = "/var/log/swiftdeploy"
# Where a container cannot have a folder of ours, or does not start with one.
_KERNELS = re.compile(r"/(?:proc|sys)(?:/|$)|/dev$")
Conflict = tuple[Where, object, str, str]


def conflicts(data: Mapping[str, Any]) -> Iterator[Conflict]:
    """Yield each conflict in a manifest that has its defaults: key, value, what is wrong, correction."""
    services, rollout = data.get("services"), data.get("rollout")
    if not isinstance(services, dict):
        return
    tmpfs, volumes = _entries(services, "tmpfs", str), _entries(services, "volumes", dict)
    yield from _taken_paths(tmpfs, volumes)
    yield from _taken_names(data.get("name"), services.get("log_volume"), volumes)
    if volumes and isinstance(rollout, dict) and rollout.get("overlap") is None:
        message = "is missing, and services.volumes has an entry"
        fix = "write true where two releases can use the volumes at once, else false"
        yield ("rollout", "overlap"), None, message, fix


def _entries(services: Mapping[str, Any], key: str, kind: type) -> dict[Where, Any]:
    found = services.get(key)
    entries = found if isinstance(found, list) else []
    return {("services", key, index): one for index, one in enumerate(entries) if isinstance(one, kind)}


def _taken_paths(tmpfs: Mapping[Where, str], volumes: Mapping[Where, Any]) -> Iterator[Conflict]:
    paths: dict[Where, object] = {**tmpfs}
    paths |= {(*where, "path"): one.get("path") for where, one in volumes.items()}
    taken = {LOGS_MOUNT: "the folder of the log volume"}
    for where, path in paths.items():
        if isinstance(path, str) and _KERNELS.match(path):
            yield where, path, "is in a folder of the kernel", "give it another path"
        elif isinstance(path, str) and path in taken:
            yield where, path, f"is also {taken[path]}", "give each its own path"
        elif isinstance(path, str):
            taken[path] = dotted(where)


def _taken_names(project: object, log_volume: object, volumes: Mapping[Where, Any]) -> Iterator[Conflict]:
    logs = log_volume if isinstance(log_volume, str) else f"{project}-logs"
    taken = {logs: "the log volume"}
    for where, one in volumes.items():
        name = f"{project}-{one.get('name')}"
        if name in taken:
            yield (*where, "name"), one.get("name"), f"is the name of {taken[name]}", "give it another name"
        taken[name] = dotted((*where, "name"))

"""Finds mounts of the app that hide the program of its image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from swiftdeploy_tasks.manifest.model import Manifest


def hidden_by_mount(manifest: Manifest, image: Mapping[str, Any]) -> str:
    """Return a sentence where a folder of services.tmpfs or services.volumes hides the program, else "".

    A folder that the image declares as a volume may be replaced.
    """
    services, config = manifest.services, image["Config"]
    declared = {path.rstrip("/") for path in config.get("Volumes") or {}}
    mounted = [("services.tmpfs", path) for path in services.tmpfs]
    mounted += [("services.volumes", volume.path) for volume in services.volumes]
    words = [*(config.get("Entrypoint") or ()), *(services.command or config.get("Cmd") or ())]
    for key, path in mounted:
        if path in declared:
            continue
        if needed := next((one for one in _program(config, words) if _is_below(one, path)), ""):
            return f"{key} has {path}, which hides {needed} of the image"
    return ""


def _program(config: Mapping[str, Any], words: Sequence[str]) -> list[str]:
    """Return the paths that the program needs: the working folder, and each word that is an absolute path."""
    folder = str(config.get("WorkingDir") or "/")
    return [*([folder] if folder != "/" else []), *(word for word in words if word.startswith("/"))]


def _is_below(path: str, folder: str) -> bool:
    return PurePosixPath(path).is_relative_to(folder)

"""What a mount of the app would hide of its image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from swiftdeploy_tasks.manifest.model import Manifest


def hidden(manifest: Manifest, image: Mapping[str, Any]) -> str:
    """Return which folder of services.tmpfs or services.volumes hides the image's program, "" for none.

    A folder that the image declares as a volume is made to be replaced.
    """
    services, config = manifest.services, image["Config"]
    declared = {path.rstrip("/") for path in config.get("Volumes") or {}}
    mounted = [("services.tmpfs", path) for path in services.tmpfs]
    mounted += [("services.volumes", volume.path) for volume in services.volumes]
    words = [*(config.get("Entrypoint") or ()), *(services.command or config.get("Cmd") or ())]
    for key, path in mounted:
        if path in declared:
            continue
        if held := next((one for one in _program(config, words) if _is_below(one, path)), ""):
            return f"{key} has {path}, which hides {held} of the image"
    return ""


def _program(config: Mapping[str, Any], words: Sequence[str]) -> list[str]:
    """Return the paths that the image's program needs: its working folder, and each absolute word."""
    folder = str(config.get("WorkingDir") or "/")
    return [*([folder] if folder != "/" else []), *(word for word in words if word.startswith("/"))]


def _is_below(path: str, folder: str) -> bool:
    return PurePosixPath(path).is_relative_to(folder)

"""The engines by name, and the choice of one for a project.

The engine on which the project runs is kept. An engine that cannot be reached is an error; another one is
never chosen instead.
"""

from __future__ import annotations

import dataclasses
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from swiftdeploy_tasks.engines.docker import client
from swiftdeploy_tasks.engines.protocol import Engine
from swiftdeploy_tasks.errors import PreflightError
from swiftdeploy_tasks.manifest.model import Manifest
from swiftdeploy_tasks.model.components import LOOPBACK
from swiftdeploy_tasks.model.state import Site
from swiftdeploy_tasks.proxy.configuration import CONTAINER_SITE
from swiftdeploy_tasks.settings import Settings
from swiftdeploy_tasks.system import files

SOCKET = Path("/var/run/docker.sock")


@dataclass(frozen=True)
class _Entry:
    """How an engine is made, which gate `gate: auto` means, and the site of the files at the root."""

    make: Callable[[Settings], Engine]
    gate: Literal["server", "embedded"]
    review: Site


def choose(settings: Settings, manifest: Manifest) -> Engine:
    """Return the engine for this manifest; raises PreflightError when another one runs already."""
    asked = manifest.engine
    running = recorded(settings) or ("local" if asked != "local" and _runs_locally(settings) else "")
    if asked != "auto" and running and running != asked:
        raise PreflightError(
            f"engine is {asked} in manifest.yaml, and this project runs on the {running} engine",
            "invoke teardown",
        )
    if asked == "auto":
        asked = "docker" if running == "docker" or (not running and docker_is_here()) else "local"
    return make(asked, settings)


def make(name: str, settings: Settings) -> Engine:
    """Return the engine of this name; raises PreflightError for one that this version does not have."""
    if name not in _ENGINES:
        known = ", ".join(_ENGINES)
        raise PreflightError(
            f"there is no engine {name!r}, only {known}", f"set engine to one of {known} in manifest.yaml"
        )
    return _ENGINES[name].make(settings)


def default_gate(name: str) -> str:
    """Return what `gate: auto` stands for on this engine: server or embedded."""
    return _ENGINES[name].gate


def review_site(name: str) -> Site:
    """Return where the nginx.conf at the root stands: it is the same on every host."""
    return _ENGINES[name].review


def _local(settings: Settings) -> Engine:
    from swiftdeploy_tasks.engines.local.local_engine import LocalEngine

    return LocalEngine(settings.root, settings.state)


def _docker(settings: Settings) -> Engine:
    from swiftdeploy_tasks.engines.docker.docker_engine import DockerEngine

    return DockerEngine(settings.root, settings.state)


_REVIEW = dataclasses.replace(CONTAINER_SITE, inline=True)
_ENGINES: Mapping[str, _Entry] = {
    "local": _Entry(
        _local,
        "embedded",
        dataclasses.replace(
            _REVIEW, bind=f"{LOOPBACK}:", operators=(LOOPBACK,), resolver="", address=f"{LOOPBACK}:{{port}}"
        ),
    ),
    "docker": _Entry(_docker, "server", _REVIEW),
}


def candidates(settings: Settings) -> tuple[str, ...]:
    """Return the engines on which something of this project may run, whatever the manifest says."""
    if name := recorded(settings):
        return (name,)
    return tuple(_ENGINES) if docker_is_here() else ("local",)


def docker_is_here() -> bool:
    """Return whether anything on this host says that there is a Docker Engine."""
    return bool(os.environ.get("DOCKER_HOST") or client.context()) or SOCKET.exists()


def notice(settings: Settings, manifest: Manifest, engine: Engine) -> str:
    """Return what to say where `auto` takes local though a docker client is here, "" for nothing."""
    if manifest.engine != "auto" or engine.name != "local" or recorded(settings):
        return ""
    if docker_is_here() or not (found := shutil.which("docker")):
        return ""
    return (
        f"engine: auto takes local: {found} is here, and there is no Docker Engine: no {SOCKET}, no "
        "DOCKER_HOST and no docker context; to deploy to Docker, start the engine or set engine: docker"
    )


def recorded(settings: Settings) -> str:
    """Return the engine on which something of this project was started, "" when nothing was."""
    try:
        return _record(settings).read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def record(settings: Settings, name: str) -> None:
    """Note the engine on which something is about to be started."""
    files.replace(_record(settings), f"{name}\n", mode=0o600)


def forget(settings: Settings) -> None:
    """Note that nothing of this project runs any more."""
    _record(settings).unlink(missing_ok=True)


def _runs_locally(settings: Settings) -> bool:
    if not settings.state.is_dir():
        return False
    state = make("local", settings).observe()
    return state.proxy is not None or bool(state.slots)


def _record(settings: Settings) -> Path:
    return settings.state / "engine"

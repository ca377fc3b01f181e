"""A Spec: how one component runs, whatever the engine.

Its terms are those of the Compose specification. An engine writes Specs down in its own form, and the
isolation policy judges what it wrote.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from swiftdeploy_tasks.model.release import Release, Slot

# In place of uid:gid: the user that the image names.
IMAGE_USER = "image"
# One Spec as the isolation policy judges it, in JSON.
Document = Mapping[str, Any]


@dataclass(frozen=True)
class Mount:
    """A folder of this host (`bind`) or a named `volume`, at the path `target` of the component."""

    type: Literal["bind", "volume"]
    source: str
    target: str
    read_only: bool = False


@dataclass(frozen=True)
class Port:
    """A TCP port of the component, published on a port of the host; `address` "" stands for every one."""

    target: int
    published: int
    address: str = ""


@dataclass(frozen=True)
class HealthCheck:
    """The engine's own look at a component; an empty `command` is the image's. Times are in seconds."""

    command: tuple[str, ...]
    interval: int
    timeout: int
    retries: int = 3


@dataclass(frozen=True)
class Spec:
    """How one component of a project runs.

    `image` is a name or an id; an empty `entrypoint` or `command` is the image's own. `user` is uid[:gid], or
    IMAGE_USER while the image is missing. `environment` holds (name, value), `secrets` (name, variable of the
    caller). `memory` is as in `256m`, `cpus` in cores, None for all, `stop_timeout` in seconds. `release` is
    what runs in a slot, None in another component.
    """

    component: str
    project: str
    image: str
    user: str
    memory: str
    cpus: float | None
    pids: int
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()
    secrets: tuple[tuple[str, str], ...] = ()
    mounts: tuple[Mount, ...] = ()
    tmpfs: tuple[str, ...] = ()
    ports: tuple[Port, ...] = ()
    networks: tuple[str, ...] = ()
    health: HealthCheck | None = None
    restart: str = "unless-stopped"
    stop_signal: str = ""
    stop_timeout: int = 10
    init: bool = True
    read_only: bool = True
    cap_drop: tuple[str, ...] = ("ALL",)
    security_opt: tuple[str, ...] = ("no-new-privileges:true",)
    release: Release | None = None
    slot: Slot | None = None


@dataclass(frozen=True)
class Written:
    """Specs as an engine writes them down.

    `documents` and `digests` are by component: the first are judged by the isolation policy and compared with
    what runs. `beyond` names what the text says that no Spec does, because a project's own template says it.
    `files` are the texts by their path in the state folder.
    """

    documents: Mapping[str, Document]
    digests: Mapping[str, str]
    beyond: tuple[str, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)


def tmpfs_entry(path: str, user: str) -> str:
    """Return the `tmpfs` entry of a Spec for a folder that this user (uid[:gid]) can write to.

    Docker keeps the mode of a folder that the image has, so the owner is set too.
    """
    uid, _, gid = user.partition(":")
    owner = "".join(f",{key}={number}" for key, number in (("uid", uid), ("gid", gid)) if number.isdigit())
    return f"{path}:mode=1777,size=64m{owner}"


def documents(specs: Iterable[Spec]) -> dict[str, Document]:
    """Return the Specs by component as the isolation policy judges them."""
    return {spec.component: _document(spec) for spec in specs}


def digest(document: Document) -> str:
    """Return 16 hex digits that identify how a component runs."""
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()[:16]


def _document(spec: Spec) -> Document:
    """Return the Spec in the terms of the Compose specification, without what is not set."""
    stop = f"{spec.stop_timeout}s"
    found: dict[str, Any] = {
        "image": spec.image,
        "entrypoint": list(spec.entrypoint),
        "command": list(spec.command),
        "user": spec.user,
        "init": spec.init,
        "read_only": spec.read_only,
        "cap_drop": list(spec.cap_drop),
        "security_opt": list(spec.security_opt),
        "pids_limit": spec.pids,
        "mem_limit": spec.memory,
        "cpus": spec.cpus,
        "restart": spec.restart,
        "stop_signal": spec.stop_signal,
        "stop_grace_period": stop,
        "tmpfs": list(spec.tmpfs),
        "environment": dict(spec.environment),
        "secrets": dict(spec.secrets),
        "ports": [_port(port) for port in spec.ports],
        "volumes": [_mount(mount) for mount in spec.mounts],
        "networks": list(spec.networks),
        "healthcheck": _health(spec.health) if spec.health else {},
    }
    return {key: value for key, value in found.items() if value not in ("", [], {}, None)}


def _port(port: Port) -> Document:
    own = {"target": port.target, "published": str(port.published), "protocol": "tcp"}
    return own | ({"host_ip": port.address} if port.address else {})


def _mount(mount: Mount) -> Document:
    own = {"type": mount.type, "source": mount.source, "target": mount.target}
    return own | ({"read_only": True} if mount.read_only else {})


def _health(check: HealthCheck) -> Document:
    own = {"interval": f"{check.interval}s", "timeout": f"{check.timeout}s", "retries": check.retries}
    return own | ({"test": ["CMD", *check.command]} if check.command else {})

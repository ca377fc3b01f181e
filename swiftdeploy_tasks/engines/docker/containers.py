"""Our containers: those labelled with the project's home.

A part (`nginx`, `opa`, `app-blue`, `app-green`) also has the name that it should have. A labelled container
that is no part was left by a killed verb or made by hand.
"""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from swiftdeploy_tasks.engines.docker.client import HOME, PROJECT, client, labels, translated
from swiftdeploy_tasks.engines.docker.compose_file import MOUNT
from swiftdeploy_tasks.model import components
from swiftdeploy_tasks.model.release import SLOTS

if TYPE_CHECKING:
    from docker.models.containers import Container

MAKER = "swiftdeploy.maker"
SERVICE = "com.docker.compose.service"
PARTS = frozenset({components.NGINX, components.OPA, *map(components.app, SLOTS)})


def every(home: str, *more: str) -> list[Container]:
    """Return every container that carries this home, and these labels (`name=value`), whatever its state."""
    wanted = [f"{HOME}={home}", *more]
    with translated("the containers cannot be listed"):
        return list(client().containers.list(all=True, ignore_removed=True, filters={"label": wanted}))


def ours(home: str) -> dict[str, Container]:
    """Return our containers by part (`nginx`, `opa`, `app-blue`, …), whatever their state."""
    return sorted_out(home)[0]


def one_part(home: str, name: str) -> Container | None:
    """Return our container of this part; each one that is listed is also asked for, so only it is listed."""
    return next((one for one in every(home, f"{SERVICE}={name}") if part(one) == name), None)


def sorted_out(home: str) -> tuple[dict[str, Container], list[Container]]:
    """Return our containers by part, and those that are no part, but for those of a check under way."""
    parts: dict[str, Container] = {}
    strangers = []
    for one in every(home):
        if name := part(one):
            parts[name] = one
        elif not _is_made_by_a_living_process(one):
            strangers.append(one)
    return parts, strangers


def stranger(home: str, name: str) -> Container | None:
    """Return the container of this name that carries this home and is no part, None where there is none."""
    return next((one for one in sorted_out(home)[1] if one.name == name), None)


def mount_mark(home: Path) -> str:
    """Return the mark of the folder that nginx mounts, "" when there is none."""
    try:
        return mark_file(home).read_text(encoding="ascii")
    except OSError:
        return ""


def mark_file(home: Path) -> Path:
    """Return where that mark lies: it moves with a project folder that is renamed."""
    return home / "nginx" / "mount"


def former_home(home: Path) -> str:
    """Return the home of the nginx that mounts our folder under a path that is gone, "" for none."""
    if not (mark := mount_mark(home)):
        return ""
    with translated("the containers cannot be listed"):
        wanted = [f"{MOUNT}={mark}"]
        found = client().containers.list(all=True, ignore_removed=True, filters={"label": wanted})
    owners = (str(one.labels.get(HOME, "")) for one in found)
    return next((owner for owner in owners if owner and not Path(owner).exists()), "")


def part(one: Container) -> str:
    """Return which part the container is, "" for one that is none or stands under another name."""
    name = str(one.labels.get(SERVICE, ""))
    return name if name in PARTS and one.name == f"{one.labels.get(PROJECT)}-{name}" else ""


def _is_made_by_a_living_process(one: Container) -> bool:
    pid, _, began = str(one.labels.get(MAKER, "")).partition("@")
    try:
        return str(psutil.Process(int(pid)).create_time()) == began
    except (ValueError, psutil.Error):
        return False


def labels_of_a_check(project: str, home: str) -> dict[str, str]:
    """Return the labels of a container that lives no longer than the process that makes it."""
    return labels(project, home) | {MAKER: f"{os.getpid()}@{psutil.Process().create_time()}"}


def runs(one: Container) -> bool:
    """Return whether it is up and takes requests."""
    state = one.attrs["State"]
    return bool(state["Running"]) and not state["Paused"] and not state["Restarting"]


def trouble(one: Container) -> str:
    """Return why it does not run, "" when it does."""
    state = one.attrs["State"]
    if runs(one):
        return ""
    if state["Paused"]:
        return "is paused"
    if state["Restarting"]:
        return f"restarts repeatedly (exit code {state['ExitCode']})"
    if state["Status"] == "created":
        return "was never started"
    return f"has stopped (exit code {state['ExitCode']})"


def since(one: Container) -> float | None:
    """Return when it was started, in seconds since the epoch."""
    try:
        return _moment(one.attrs["State"]["StartedAt"])
    except ValueError:
        return None


def created(one: Container) -> float:
    """Return when it was created, in seconds since the epoch."""
    return _moment(one.attrs["Created"])


def _moment(text: str) -> float:
    return datetime.fromisoformat(text[:19] + "+00:00").timestamp()


def address(one: Container) -> str:
    """Return its IPv4 address, "" while it has none."""
    networks = one.attrs["NetworkSettings"].get("Networks") or {}
    return next((str(held["IPAddress"]) for held in networks.values() if held.get("IPAddress")), "")


def published(one: Container) -> list[tuple[str, int]]:
    """Return the (address, port) of this host that it asks for."""
    bindings = one.attrs["HostConfig"].get("PortBindings") or {}
    return [
        (held.get("HostIp", ""), int(held["HostPort"])) for ports in bindings.values() for held in ports or ()
    ]


def loopback_port(one: Container) -> int:
    """Return the port that it publishes on the loopback address: nginx's operator port, 0 for none."""
    return next((port for host, port in published(one) if host == components.LOOPBACK), 0)


def publisher(port: int) -> str:
    """Return the running container that publishes this port of the host, and whose it is; "" for none."""
    with translated("the containers cannot be listed"):
        found = client().containers.list(ignore_removed=True, filters={"publish": str(port)})
    for one in found:
        owner = one.labels.get(HOME)
        whose = f" of the project whose state is {owner}" if owner else ""
        return f"the container {one.name}{whose}"
    return ""

"""The networks and the log volume that our containers share.

They are not made by compose: nginx's configuration needs the network's gateway before nginx starts, and the
volume must be writable for users that neither image knows.
"""

from __future__ import annotations

import secrets as tokens
from pathlib import Path
from typing import Any

from swiftdeploy_tasks.engines.docker import client as docker_client
from swiftdeploy_tasks.engines.docker import containers
from swiftdeploy_tasks.engines.docker.client import client, translated
from swiftdeploy_tasks.errors import PreflightError
from swiftdeploy_tasks.system import signals
from swiftdeploy_tasks.system.remembered import remembered

MADE = "swiftdeploy.made"


def make_network(project: str, name: str, home: str) -> None:
    """Make the network unless it is there; raises PreflightError when it is another's."""
    from docker.errors import NotFound

    with translated(f"the network {name} cannot be made"):
        try:
            found = client().networks.get(name)
            docker_client.refuse_stranger("network", name, labels_of(found), home)
        except NotFound:
            client().networks.create(name, driver="bridge", labels=docker_client.labels(project, home))


def make_volume(project: str, name: str, image: str, home: Path, *, owner: str = "") -> None:
    """Make the volume unless it exists, and set its permissions by one run of `image`.

    A data volume belongs to its `owner` (uid:gid). Every user may write to a volume without an owner. Raises
    PreflightError for another project's volume, and for one that was made without an owner and now needs one.
    """
    from docker.errors import NotFound

    labels = docker_client.labels(project, str(home)) | ({docker_client.DATA: "true"} if owner else {})
    with translated(f"the volume {name} cannot be made"):
        try:
            volume = client().volumes.get(name)
            docker_client.refuse_stranger("volume", name, labels_of(volume), str(home))
            if owner and not is_data_volume(volume):
                raise PreflightError(
                    f"the volume {name} was made for logs, so that teardown removes it with what it holds",
                    f"use another name in services.volumes, or: docker volume rm {name}",
                )
        except NotFound:
            volume = client().volumes.create(name, labels={**labels, MADE: tokens.token_hex(8)})
        # Creating it and opening it are two steps: a kill in between leaves a volume on which nginx fails.
        # It is known by a mark of its own: the engine's CreatedAt moves with what is written.
        made = labels_of(volume).get(MADE, "")
        check = containers.labels_of_a_check(project, str(home))
        remembered(
            home / "checked",
            ["volume", name, made, owner],
            lambda: _set_permissions(project, name, image, check, owner),
        )


def _set_permissions(project: str, name: str, image: str, labels: dict[str, str], owner: str) -> str:
    with signals.deferred():
        client().containers.run(
            image,
            entrypoint=["chown", owner, "/v"] if owner else ["chmod", "1777", "/v"],
            command=[],
            user="0:0",
            read_only=True,
            cap_drop=["ALL"],
            cap_add=["CHOWN"] if owner else [],
            network_mode="none",
            volumes={name: {"bind": "/v", "mode": "rw"}},
            name=f"{project}-volume-{tokens.token_hex(4)}",
            labels=labels,
            remove=True,
        )
    return "open"


def refuse_strangers(wanted: list[tuple[str, str, str]], home: str) -> None:
    """Raise PreflightError when one of these (kind, name, cure) is there and is another project's."""
    from docker.errors import NotFound

    for kind, name, cure in wanted:
        with translated(f"the {kind} {name} cannot be looked up"):
            try:
                found = getattr(client(), f"{kind}s").get(name)
            except NotFound:
                continue
        docker_client.refuse_stranger(kind, name, labels_of(found), home, cure=cure)


def is_there(kind: str, name: str) -> bool:
    """Return whether there is a `network` or a `volume` of this name."""
    from docker.errors import NotFound

    with translated(f"the {kind} {name} cannot be looked up"):
        try:
            getattr(client(), f"{kind}s").get(name)
        except NotFound:
            return False
    return True


def gateways(network: str) -> tuple[str, ...]:
    """Return the IPv4 gateways of the network: where a request from this host arrives from."""
    from docker.errors import NotFound

    with translated(f"the network {network} cannot be looked up"):
        try:
            pools = client().networks.get(network).attrs["IPAM"]["Config"] or []
        except NotFound:
            return ()
    return tuple(pool["Gateway"] for pool in pools if "." in pool.get("Gateway", ""))


def networks(home: str) -> list[Any]:
    """Return the networks that are ours."""
    with translated("the networks cannot be listed"):
        return list(client().networks.list(filters={"label": f"{docker_client.HOME}={home}"}))


def volumes(home: str) -> list[Any]:
    """Return the volumes that are ours."""
    with translated("the volumes cannot be listed"):
        return list(client().volumes.list(filters={"label": f"{docker_client.HOME}={home}"}))


def is_data_volume(volume: Any) -> bool:
    """Return whether this is one of services.volumes."""
    return docker_client.DATA in labels_of(volume)


def labels_of(found: Any) -> dict[str, str]:
    """Return the labels of a container, network or volume."""
    held = found.attrs.get("Labels") or (found.attrs.get("Config") or {}).get("Labels")
    return dict(held or {})

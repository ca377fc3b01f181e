"""Removes containers, networks and volumes of ours; a volume that holds data stays, and is named."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from swiftdeploy_tasks.engines.docker import containers, image_volumes, networks
from swiftdeploy_tasks.engines.docker.client import translated
from swiftdeploy_tasks.engines.docker.compose_file import RELEASE
from swiftdeploy_tasks.engines.protocol import Say
from swiftdeploy_tasks.errors import EngineError
from swiftdeploy_tasks.model import components
from swiftdeploy_tasks.model.release import from_label

if TYPE_CHECKING:
    from docker.models.containers import Container

# Seconds for nginx and OPA, which end at once; an app has its own stop.timeout.
GRACE = 3


def end(one: Container, home: Path, *, discard_volumes: bool = False) -> tuple[str, ...]:
    """Stop and remove a container; return what to say of the volumes that stay for their data."""
    from docker.errors import NotFound

    release = from_label(one.labels.get(RELEASE, ""))
    with translated(f"{one.name} cannot be removed"):
        try:
            if one.status == "paused":
                one.unpause()
            one.stop(timeout=release.stop.timeout if release else GRACE)
            kept = () if discard_volumes else image_volumes.held(one, home)
            image_volumes.remove(one, kept)
        except NotFound:
            return ()
    return tuple(
        f"{held.path} of {one.name} held data and is kept as the volume {held.volume}; "
        f"docker volume rm {held.volume} removes it"
        for held in kept
    )


def remove_networks(one: Container, home: str) -> None:
    """Remove the networks of ours that a removed container alone had joined."""
    joined = one.attrs["NetworkSettings"].get("Networks") or {}
    for network in networks.networks(home):
        if network.name in joined:
            with translated(f"the network {network.name} cannot be removed"):
                network.remove()


def remove_all(
    home: Path, say: Say, *, discard_volumes: bool = False, data_volumes: bool = False
) -> tuple[str, ...]:
    """See `Engine.remove_all`: nginx ends first."""
    homes = [carried for carried in (containers.former_home(home), str(home)) if carried]
    removed: list[str] = []
    while found := [one for carried in homes for one in containers.every(carried)]:
        for one in sorted(found, key=lambda one: containers.part(one) != components.NGINX):
            say(f"removing {one.name}")
            removed.append(str(one.name))
            for sentence in end(one, home, discard_volumes=discard_volumes):
                say(sentence)
    shared = [("network", one) for carried in homes for one in networks.networks(carried)]
    volumes = [one for carried in homes for one in networks.volumes(carried)]
    kept = [one for one in volumes if networks.is_data_volume(one) and not data_volumes]
    shared += [("volume", one) for one in volumes if one not in kept]
    problems: list[EngineError] = []
    for kind, one in shared:
        say(f"removing the {kind} {one.name}")
        try:
            with translated(f"the {kind} {one.name} cannot be removed", next="invoke teardown"):
                one.remove()
            removed.append(f"{kind} {one.name}")
        except EngineError as error:
            problems.append(error)
    for one in kept:
        say(f"the volume {one.name} is kept; invoke teardown --volumes removes it")
    if problems:
        raise problems[0]
    return tuple(dict.fromkeys(removed))

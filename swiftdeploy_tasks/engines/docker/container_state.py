"""What our containers are: nginx, OPA and the app of a slot. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from swiftdeploy_tasks.engines.docker import compose_file
from swiftdeploy_tasks.engines.docker.containers import (
    address,
    loopback_port,
    published,
    runs,
    since,
    trouble,
)
from swiftdeploy_tasks.model import components
from swiftdeploy_tasks.model.release import Slot, from_label
from swiftdeploy_tasks.model.state import Placement, PolicyServer, Proxy

if TYPE_CHECKING:
    from docker.models.containers import Container


def proxy(one: Container) -> Proxy:
    """Return the nginx that this container is."""
    port = loopback_port(one) if runs(one) else 0
    return Proxy(compose_file.form(one.labels), "", trouble=trouble(one), operator_port=port)


def policy_server(one: Container) -> PolicyServer:
    """Return the OPA that it is: a port that a running container publishes is no other process's."""
    addresses = frozenset(published(one)) if runs(one) else frozenset()
    return PolicyServer(compose_file.form(one.labels), runs(one), trouble(one), addresses)


def placement(slot: Slot, one: Container) -> Placement:
    """Return what runs in the slot."""
    release = from_label(one.labels.get(compose_file.RELEASE, ""))
    host = address(one)
    pairs = [word.partition("=") for word in one.attrs["Config"]["Env"] or []]
    return Placement(
        release=release,
        spec=compose_file.form(one.labels),
        live=runs(one),
        trouble=trouble(one),
        address=f"{components.app(slot)}:{release.port}" if release else "",
        since=since(one),
        has_died=one.attrs.get("RestartCount", 0) > 0,
        reach=(host, release.port) if host and release else ("", 0),
        environment={name: value for name, _, value in pairs},
    )

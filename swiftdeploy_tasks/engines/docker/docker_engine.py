"""The docker engine: containers on this host, started by compose, observed and removed through the SDK.

Compose starts one service at a time. Stopping, removing and observing need no rendered file and no secret.
"""

from __future__ import annotations

import dataclasses
import secrets as tokens
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from swiftdeploy_tasks.engines.docker import client as docker_client
from swiftdeploy_tasks.engines.docker import compose as docker_compose
from swiftdeploy_tasks.engines.docker import (
    container_checks,
    containers,
    image_volumes,
    policy_container,
    proxy_container,
    sockets,
)
from swiftdeploy_tasks.engines.docker import differences as docker_form
from swiftdeploy_tasks.engines.docker import images as docker_images
from swiftdeploy_tasks.engines.docker import networks as docker_places
from swiftdeploy_tasks.engines.docker.client import client, translated
from swiftdeploy_tasks.engines.docker.containers import form, ours, published, runs, since, trouble
from swiftdeploy_tasks.engines.local import proxy_process
from swiftdeploy_tasks.engines.protocol import ACCESS_BYTES, ACCESS_LINES, Facts, Say
from swiftdeploy_tasks.errors import EngineError, GateUnavailable, ProxyError
from swiftdeploy_tasks.manifest.model import Build, Manifest
from swiftdeploy_tasks.model.finding import Finding
from swiftdeploy_tasks.model.release import SLOTS, Release, Slot, from_label, from_manifest
from swiftdeploy_tasks.model.state import Difference, Placement, Proxy, Site, State
from swiftdeploy_tasks.proxy import artifacts, probe
from swiftdeploy_tasks.system import files

if TYPE_CHECKING:
    from docker.models.containers import Container

GRACE = 15
SHORT_GRACE = 3
SETTLE_SECONDS = 10.0


@dataclass(frozen=True)
class DockerEngine:
    """Containers that carry `folder` as their home; `root` is the project's folder.

    `built` holds the ids of the images that this invocation built, by name and build.
    """

    root: Path
    folder: Path
    name: str = "docker"
    gate: str = "server"
    built: dict[tuple[str, Build], str] = dataclasses.field(default_factory=dict, compare=False)

    @property
    def home(self) -> str:
        """What our containers, networks and volumes carry."""
        return str(self.folder)

    def check(self, manifest: Manifest) -> tuple[Finding, ...]:
        """See `Engine.check`."""
        return container_checks.all_of(manifest, self.root, self.folder, self.review(manifest))

    def held_ports(self) -> frozenset[int]:
        """See `Engine.held_ports`."""
        return frozenset(port for one in containers.every(self.home) for _, port in published(one))

    def holder(self, port: int) -> str:
        """See `Engine.holder`."""
        return containers.publisher(port) or proxy_process.listener(port)

    def test_nginx(self, manifest: Manifest, files: Mapping[str, str]) -> str:
        """See `Engine.test_nginx`."""
        return proxy_container.test(manifest.nginx.image, manifest.name, self.home, files)

    def nginx_identity(self, manifest: Manifest) -> str:
        """See `Engine.nginx_identity`."""
        return docker_images.identity(manifest.nginx.image)

    def candidate_site(self, manifest: Manifest) -> Site:
        """See `Engine.candidate_site`."""
        return dataclasses.replace(
            artifacts.CONTAINER_SITE, operators=docker_places.gateways(manifest.network.name)
        )

    def review(self, manifest: Manifest) -> tuple[Site, str]:
        """See `Engine.review`."""
        site = dataclasses.replace(artifacts.CONTAINER_SITE, inline=True)
        return site, f"app-blue:{manifest.services.port}"

    def to_obtain(self, manifest: Manifest) -> Mapping[str, str]:
        """See `Engine.to_obtain`."""
        image = manifest.services.image
        is_due = manifest.services.build is not None and not self._artifact(manifest)
        due = {image: "its context changed, or it is not here"} if is_due else {}
        pulled = (name for name in (image, manifest.nginx.image) if not docker_images.identity(name))
        return dict.fromkeys(pulled, "it is not here") | due

    def obtain(self, manifest: Manifest, say: Say) -> None:
        """See `Engine.obtain`."""
        services = manifest.services
        if services.build:
            built = docker_images.build(manifest, self.root, self.folder, say)
            self.built[services.image, services.build] = built
        else:
            docker_images.pull(services.image, say)
        docker_images.pull(manifest.nginx.image, say)

    def release(self, manifest: Manifest) -> Release:
        """See `Engine.release`: an image that has yet to be built or pulled has the empty id."""
        return from_manifest(manifest, artifact=self._artifact(manifest), process=())

    def _artifact(self, manifest: Manifest) -> str:
        """Return the id of the image to run, "" for one that has yet to be built or pulled.

        What `obtain` built is used, also where the context changed since.
        """
        services = manifest.services
        if services.build and (built := self.built.get((services.image, services.build))):
            return built
        stale = docker_images.is_stale(manifest, self.root, self.folder)
        return "" if stale else docker_images.identity(services.image)

    def keep(self, manifest: Manifest, release: Release) -> tuple[str, ...]:
        """See `Engine.keep`."""
        docker_images.keep(manifest.name, release.artifact, release.id)
        paths = image_volumes.declared(docker_images.description(release.artifact))
        image_volumes.remember_image(release.artifact, paths, manifest.name, self.folder)
        return ()

    def prepare(self, manifest: Manifest) -> None:
        """See `Engine.prepare`."""
        project, network = manifest.name, manifest.network
        docker_places.make_network(project, network.name, network.driver_type, self.home)
        docker_places.make_volume(project, manifest.services.log_volume, manifest.nginx.image, self.folder)
        files.make_folder(self.folder / "nginx", mode=0o755)
        # nginx's user in the container is unknown on this host: everyone may add files, and remove their own.
        files.make_folder(self.folder / "counts", mode=0o1777)
        if not containers.mount_mark(self.folder):
            files.replace(containers.mark_file(self.folder), tokens.token_hex(8))

    def facts(self, manifest: Manifest) -> Facts:
        """See `Engine.facts`."""
        names = {"nginx": manifest.nginx.image, "opa": manifest.opa.image}
        images = {part: found for part, name in names.items() if (found := docker_images.identity(name))}
        addresses = {slot: there.address for slot, there in self.observe().slots.items() if there.address}
        site = dataclasses.replace(self.candidate_site(manifest), counts=artifacts.COUNTS_MOUNT)
        return Facts(site, addresses, images, containers.mount_mark(self.folder))

    def observe(self) -> State:
        """See `Engine.observe`."""
        found = ours(self.home)
        slots: dict[Slot, Placement] = {}
        for slot in SLOTS:
            if one := found.get(f"app-{slot}"):
                release = from_label(one.labels.get("swiftdeploy.release", ""))
                slots[slot] = Placement(
                    release=release,
                    spec=one.labels.get("swiftdeploy.spec", ""),
                    live=runs(one),
                    trouble=trouble(one),
                    address=self.address(slot, release) if release else "",
                    since=since(one),
                )
        nginx = found.get("nginx")
        proxy = Proxy(form(nginx.labels), "", trouble=trouble(nginx)) if nginx else None
        return State(proxy, slots)

    def address(self, slot: Slot, release: Release) -> str:
        """See `Engine.address`."""
        return f"app-{slot}:{release.port}"

    def reach(self, slot: Slot) -> tuple[str, int]:
        """See `Engine.reach`: a container of a bridge network has an address of its own."""
        one = self._part(f"app-{slot}")
        release = from_label(one.labels.get("swiftdeploy.release", "")) if one else None
        host = containers.address(one) if one else ""
        return (host, release.port) if host and release else ("", 0)

    def listening(self, slot: Slot) -> frozenset[tuple[str, int]] | None:
        """See `Engine.listening`."""
        one = self._part(f"app-{slot}")
        return sockets.listening(one) if one and containers.runs(one) else None

    def differences(self, compose: str) -> Mapping[str, tuple[Difference, ...]]:
        """See `Engine.differences`."""
        document = artifacts.parse_compose(compose)
        return {part: _differences(document, part, one) for part, one in ours(self.home).items()}

    def missing(self, manifest: Manifest, *, with_opa: bool) -> tuple[str, ...]:
        """See `Engine.missing`."""
        networks = [manifest.network.name, *([f"{manifest.name}-opa"] if with_opa else [])]
        wanted = [*(("network", name) for name in networks), ("volume", manifest.services.log_volume)]
        return tuple(f"{kind} {name}" for kind, name in wanted if not docker_places.is_there(kind, name))

    def operator_port(self) -> int:
        """See `Engine.operator_port`."""
        nginx = self._part("nginx")
        if nginx is None or not runs(nginx):
            return 0
        return next((port for host, port in published(nginx) if host == "127.0.0.1"), 0)

    def proxy_spec(self, manifest: Manifest, compose: str) -> str:
        """See `Engine.proxy_spec`."""
        return form(artifacts.parse_compose(compose)["services"]["nginx"]["labels"])

    def slot_spec(self, slot: Slot, compose: str) -> str:
        """See `Engine.slot_spec`."""
        return artifacts.spec_of(compose, f"app-{slot}")

    def start_proxy(self, project: str, spec: str, operator_port: int) -> None:
        """See `Engine.start_proxy`."""
        self._remove("nginx")
        try:
            docker_compose.up(project, self._compose_file, "nginx", {})
        except EngineError as error:
            raise ProxyError(error.message, error.next, log=error.log or self.logs("nginx")) from None

    def test_candidate(self, folder: Path) -> None:
        """See `Engine.test_candidate`."""
        words = ["-t", "-q", "-c", f"{artifacts.NGINX_MOUNT}/next/nginx.conf"]
        proxy_container.run(self._part("nginx"), words, "nginx refuses the configuration")

    def reload_proxy(self) -> None:
        """See `Engine.reload_proxy`."""
        words = ["-s", "reload", "-c", proxy_container.CONF]
        proxy_container.run(self._part("nginx"), words, "nginx cannot be reloaded")

    def workers(self) -> Mapping[int, bool]:
        """See `Engine.workers`."""
        nginx = self._part("nginx")
        return proxy_container.workers(nginx) if nginx and runs(nginx) else {}

    def draining(self, port: int) -> int | None:
        """See `Engine.draining`."""
        nginx = self._part("nginx")
        return proxy_container.draining(nginx, port) if nginx and runs(nginx) else None

    def start_slot(
        self, manifest: Manifest, slot: Slot, release: Release, secrets: Mapping[str, str]
    ) -> None:
        """See `Engine.start_slot`."""
        self._remove(f"app-{slot}")
        given = {f"{artifacts.SECRET}{source}": value for source, value in secrets.items()}
        docker_compose.up(manifest.name, self._compose_file, f"app-{slot}", given)

    def stop_slot(self, slot: Slot, *, discard_volumes: bool = False) -> tuple[str, ...]:
        """See `Engine.stop_slot`."""
        return self._remove(f"app-{slot}", discard_volumes=discard_volumes)

    def volume_notice(self, manifest: Manifest) -> str:
        """See `Engine.volume_notice`."""
        image = docker_images.description(manifest.services.image)
        return image_volumes.notice(image_volumes.declared(image))

    def data(self, slot: Slot) -> tuple[str, ...]:
        """See `Engine.data`."""
        one = self._part(f"app-{slot}")
        return tuple(f"data at {held}" for held in image_volumes.held(one, self.folder)) if one else ()

    def environment(self, slot: Slot) -> Mapping[str, str]:
        """See `Engine.environment`."""
        one = self._part(f"app-{slot}")
        pairs = [word.partition("=") for word in (one.attrs["Config"]["Env"] or [])] if one else []
        return {name: value for name, _, value in pairs}

    def has(self, release: Release) -> bool:
        """See `Engine.has`."""
        return bool(docker_images.identity(release.artifact))

    def is_alive(self, slot: Slot) -> bool:
        """See `Engine.is_alive`: one that its restart policy had to start again has died."""
        one = self._part(f"app-{slot}")
        return one is not None and runs(one) and one.attrs.get("RestartCount", 0) == 0

    def logs(self, component: str, *, lines: int = 20) -> tuple[str, ...]:
        """See `Engine.logs`."""
        one = self._part(component)
        if one is None:
            return ()
        with translated(f"the log of {component} cannot be read"):
            return tuple(docker_client.last_output(one, tail=lines).splitlines())

    def access_log(self, seconds: float) -> tuple[str, ...]:
        """See `Engine.access_log`: nginx writes it to its standard output."""
        nginx = self._part("nginx")
        if nginx is None:
            return ()
        since = int(time.time() - seconds)
        with translated("the access log of nginx cannot be read"):
            options = {"stderr": False, "since": since, "tail": ACCESS_LINES}
            text = docker_client.last_output(nginx, most=ACCESS_BYTES, **options)
        return tuple(text.splitlines())

    def prepare_opa(self, manifest: Manifest, say: Say) -> None:
        """See `Engine.prepare_opa`."""
        try:
            docker_images.pull(manifest.opa.image, say)
            docker_places.make_network(manifest.name, f"{manifest.name}-opa", "bridge", self.home)
        except EngineError as error:
            raise GateUnavailable(f"OPA cannot be started: {error.message}", error.next) from None

    def opa_spec(self, manifest: Manifest, compose: str) -> str:
        """See `Engine.opa_spec`."""
        return artifacts.spec_of(compose, "opa")

    def has_opa(self) -> bool:
        """See `Engine.has_opa`."""
        return self._part("opa") is not None

    def opa_fault(self, spec: str, compose: str) -> str:
        """See `Engine.opa_fault`."""
        there = self._part("opa")
        if there is None:
            return "OPA does not run"
        if not runs(there):
            return f"it {trouble(there)}"
        if there.labels.get("swiftdeploy.spec") != spec:
            return "its port, image or container definition changed"
        return "; ".join(map(str, _differences(artifacts.parse_compose(compose), "opa", there)))

    def start_opa(self, manifest: Manifest, spec: str, say: Say) -> None:
        """See `Engine.start_opa`."""
        self._remove("opa")
        say("starting OPA")
        try:
            docker_compose.up(manifest.name, self._compose_file, "opa", {})
        except EngineError as error:
            raise GateUnavailable(f"OPA does not start: {error.message}", error.next, log=error.log) from None

    def opa_identity(self, manifest: Manifest) -> str:
        """See `Engine.opa_identity`."""
        return docker_images.identity(manifest.opa.image)

    def run_opa(self, manifest: Manifest, files: Mapping[str, bytes], words: Sequence[str]) -> str:
        """See `Engine.run_opa`."""
        return policy_container.run(manifest.opa.image, manifest.name, self.home, files, words)

    def opa_doubt(self, manifest: Manifest) -> str:
        """See `Engine.opa_doubt`: a port that a running container publishes is no other process's."""
        return policy_container.doubt(self._part("opa"), manifest.opa.port)

    def stop_opa(self) -> None:
        """See `Engine.stop_opa`."""
        self._remove("opa")
        for network in docker_places.networks(self.home):
            if network.name.endswith("-opa"):
                with translated(f"the network {network.name} cannot be removed"):
                    network.remove()

    def disks(self) -> tuple[Path, ...]:
        """See `Engine.disks`: the engine's data root, the project and its state."""
        with translated("the engine's data root cannot be asked"):
            data_root = Path(client().info()["DockerRootDir"])
        return (data_root, self.root, self.folder)

    def quiesce(self) -> None:
        """See `Engine.quiesce`."""
        docker_compose.end_leftovers(self._compose_file)
        looks = [self._look()]

        def settled() -> bool:
            looks.append(self._look())
            return looks[-1] == looks[-2]

        probe.until(settled, seconds=SETTLE_SECONDS, every=0.5)

    def _look(self) -> set[tuple[str, str]]:
        return {(str(one.id), one.status) for one in containers.every(self.home)}

    def strangers(self) -> tuple[str, ...]:
        """See `Engine.strangers`."""
        return tuple(str(one.name) for one in containers.strangers(self.home))

    def remove_strangers(self) -> tuple[str, ...]:
        """See `Engine.remove_strangers`."""
        found = containers.strangers(self.home)
        for one in found:
            with translated(f"{one.name} cannot be removed"):
                image_volumes.remove(one, image_volumes.held(one, self.folder))
        return tuple(str(one.name) for one in found)

    def remove_all(self, say: Say, *, discard_volumes: bool = False) -> tuple[str, ...]:
        """See `Engine.remove_all`."""
        former = containers.former_home(self.folder)
        homes = [home for home in (former, self.home) if home]
        removed: list[str] = []
        while found := [one for home in homes for one in containers.every(home)]:
            for one in sorted(found, key=lambda one: containers.part(one) != "nginx"):
                say(f"removing {one.name}")
                removed.append(str(one.name))
                for kept in self._end(one, discard_volumes=discard_volumes):
                    say(kept)
        shared = [("network", one) for home in homes for one in docker_places.networks(home)]
        shared += [("volume", one) for home in homes for one in docker_places.volumes(home)]
        problems: list[EngineError] = []
        for kind, one in shared:
            say(f"removing the {kind} {one.name}")
            try:
                with translated(f"the {kind} {one.name} cannot be removed", next="invoke teardown"):
                    one.remove()
                removed.append(f"{kind} {one.name}")
            except EngineError as error:
                problems.append(error)
        if problems:
            raise problems[0]
        return tuple(dict.fromkeys(removed))

    def _part(self, service: str) -> Container | None:
        return containers.one_part(self.home, service)

    def _remove(self, part: str, *, discard_volumes: bool = False) -> tuple[str, ...]:
        one = self._part(part)
        return self._end(one, discard_volumes=discard_volumes) if one else ()

    def _end(self, one: Container, *, discard_volumes: bool = False) -> tuple[str, ...]:
        """Stop and remove a container; return what to say of the volumes that stay for their data."""
        from docker.errors import NotFound

        is_app = containers.part(one).startswith("app-")
        with translated(f"{one.name} cannot be removed"):
            try:
                if one.status == "paused":
                    one.unpause()
                one.stop(timeout=GRACE if is_app else SHORT_GRACE)
                kept = () if discard_volumes else image_volumes.held(one, self.folder)
                image_volumes.remove(one, kept)
            except NotFound:
                return ()
        return tuple(
            f"{held.path} of {one.name} held data and is kept as the volume {held.volume}; "
            f"docker volume rm {held.volume} removes it"
            for held in kept
        )

    @property
    def _compose_file(self) -> Path:
        return self.folder / "compose.yml"


def _differences(compose: Any, part: str, one: Container) -> tuple[Difference, ...]:
    if part not in compose["services"]:
        return ()
    name = compose["services"][part]["image"]
    image = docker_images.description(name)
    if image is None:
        return (Difference("the image", name, "not on this host any more"),)
    return docker_form.differences(compose, part, one.attrs, image)

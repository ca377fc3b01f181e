"""The docker engine: containers on this host, started by compose, observed and removed through the SDK.

Compose starts one service at a time. Stopping, removing and observing need no rendered file and no secret.
"""

from __future__ import annotations

import dataclasses
import os
import secrets as tokens
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from swiftdeploy_tasks.engines.docker import (
    access_log_output,
    compose_file,
    container_checks,
    container_state,
    containers,
    image_user,
    image_volumes,
    one_off,
    removal,
    sockets,
)
from swiftdeploy_tasks.engines.docker import client as docker_client
from swiftdeploy_tasks.engines.docker import compose as docker_compose
from swiftdeploy_tasks.engines.docker import differences as docker_form
from swiftdeploy_tasks.engines.docker import images as docker_images
from swiftdeploy_tasks.engines.docker import networks as docker_places
from swiftdeploy_tasks.engines.docker.client import translated
from swiftdeploy_tasks.engines.docker.containers import runs
from swiftdeploy_tasks.engines.docker.proxy_container import ContainerNginx
from swiftdeploy_tasks.engines.protocol import (
    Facts,
    Inspection,
    Leaving,
    Missing,
    Ran,
    Say,
)
from swiftdeploy_tasks.manifest.model import Build, Manifest
from swiftdeploy_tasks.metrics import AccessLog
from swiftdeploy_tasks.model import components
from swiftdeploy_tasks.model.finding import Finding
from swiftdeploy_tasks.model.release import SLOTS, Release, Slot, from_manifest
from swiftdeploy_tasks.model.spec import IMAGE_USER, Spec, Written, tmpfs_entry
from swiftdeploy_tasks.model.state import Difference, State
from swiftdeploy_tasks.proxy import configuration, probe, publication
from swiftdeploy_tasks.proxy.publication import Configuration
from swiftdeploy_tasks.settings import DEFAULTS
from swiftdeploy_tasks.system import files

if TYPE_CHECKING:
    from docker.models.containers import Container

SETTLE_SECONDS = 10.0


@dataclass(frozen=True)
class DockerEngine:
    """Containers that carry `folder` as their home; `root` is the project's folder.

    `built` holds the ids of the images that this invocation built, by name and build.
    """

    root: Path
    folder: Path
    name: str = "docker"
    built: dict[tuple[str, Build], str] = dataclasses.field(default_factory=dict, compare=False)

    @property
    def home(self) -> str:
        """What our containers, networks and volumes carry."""
        return str(self.folder)

    def check(self, manifest: Manifest, *, with_opa: bool) -> tuple[Finding, ...]:
        """See `Engine.check`."""
        return container_checks.all_of(manifest, self.root, self.folder, with_opa=with_opa)

    def missing(self, manifest: Manifest, *, with_opa: bool) -> tuple[Missing, ...]:
        """See `Engine.missing`."""
        found, image = list[Missing](), manifest.services.image
        if manifest.services.build is not None and not self._artifact(manifest):
            found.append(Missing("build", image, "its context changed, or it is not here"))
        elif not docker_images.identity(image):
            found.append(Missing("pull", image, "it is not here"))
        if not docker_images.identity(manifest.nginx.image):
            found.append(Missing("pull", manifest.nginx.image, "it is not here"))
        specs = components.for_review(manifest, with_opa=with_opa)
        wanted = [("network", name) for spec in specs for name in spec.networks]
        wanted += [("volume", one.source) for spec in specs for one in spec.mounts if one.type == "volume"]
        for kind, name in dict.fromkeys(wanted):
            if not docker_places.is_there(kind, name):
                found.append(Missing("create", f"{kind} {name}"))
        return tuple(found)

    def obtain(self, manifest: Manifest, say: Say) -> None:
        """See `Engine.obtain`."""
        services = manifest.services
        if services.build:
            built = docker_images.build(manifest, self.root, self.folder, say)
            self.built[services.image, services.build] = built
        else:
            docker_images.pull(services.image, say)
        if image := docker_images.description(services.image):
            container_checks.refuse_unfit_image(manifest, image, self.folder)
        docker_images.pull(manifest.nginx.image, say)

    def release(self, manifest: Manifest) -> Release:
        """See `Engine.release`: an image that has yet to be built or pulled has the empty id."""
        return from_manifest(manifest, artifact=self._artifact(manifest))

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
        paths = image_volumes.declared(docker_images.description(release.artifact), release)
        image_volumes.remember_image(release.artifact, paths, manifest.name, self.folder)
        return ()

    def identity(self, spec: Spec) -> str:
        """See `Engine.identity`."""
        return docker_images.identity(spec.image)

    def prepare(self, specs: Sequence[Spec], say: Say) -> None:
        """See `Engine.prepare`."""
        for spec in specs:
            docker_images.pull(spec.image, say)
            data_paths = {one.path for one in spec.release.volumes} if spec.release else set()
            owner = self._with_numeric_user(spec).user
            for network in spec.networks:
                docker_places.make_network(spec.project, network, self.home)
            for mount in spec.mounts:
                if mount.type == "volume":
                    docker_places.make_volume(
                        spec.project,
                        mount.source,
                        specs[0].image,
                        self.folder,
                        owner=owner if mount.target in data_paths else "",
                    )
        if any(spec.component == components.NGINX for spec in specs):
            files.make_folder(self.folder / "nginx", mode=0o755)
            # nginx's user in the container is unknown on this host: everyone may add files.
            files.make_folder(self.folder / "counts", mode=0o1777)
            if not containers.mount_mark(self.folder):
                files.replace(containers.mark_file(self.folder), tokens.token_hex(8))

    def facts(self, manifest: Manifest) -> Facts:
        """See `Engine.facts`: a request from this host reaches nginx from the network's gateway."""
        own = dataclasses.replace(configuration.CONTAINER_SITE, cores=os.cpu_count() or 0)
        volumes = image_volumes.declared(
            docker_images.description(manifest.services.image), manifest.services
        )
        candidate = dataclasses.replace(own, operators=docker_places.gateways(manifest.network.name))
        return Facts(
            site=dataclasses.replace(candidate, counts=components.COUNTS_MOUNT),
            candidate=candidate,
            addresses={slot: there.address for slot, there in self.observe().slots.items() if there.address},
            disks=(docker_client.data_root(), self.root, self.folder),
            notices=(image_volumes.notice(volumes),) if volumes else (),
        )

    def observe(self) -> State:
        """See `Engine.observe`."""
        found, strangers = containers.sorted_out(self.home)
        nginx, opa = found.get(components.NGINX), found.get(components.OPA)
        apps = {slot: one for slot in SLOTS if (one := found.get(components.app(slot)))}
        return State(
            proxy=container_state.proxy(nginx) if nginx else None,
            slots={slot: container_state.placement(slot, one) for slot, one in apps.items()},
            policy=container_state.policy_server(opa) if opa else None,
            strangers=tuple(str(one.name) for one in strangers),
        )

    def written(self, specs: Sequence[Spec]) -> Written:
        """See `Engine.written`: an image that is here is named by its id, and its user by uid:gid."""
        by_id = [
            dataclasses.replace(self._with_numeric_user(spec), image=self.identity(spec) or spec.image)
            for spec in specs
        ]
        mark = containers.mount_mark(self.folder)
        return compose_file.as_applied(by_id, self._templates, home=self.home, mark=mark)

    def differences(self, written: Written) -> Mapping[str, tuple[Difference, ...]]:
        """See `Engine.differences`."""
        found: dict[str, tuple[Difference, ...]] = {}
        for name, one in containers.ours(self.home).items():
            if document := written.documents.get(name):
                image = docker_images.description(document["image"])
                gone = Difference("the image", document["image"], "not on this host any more")
                found[name] = docker_form.differences(document, one.attrs, image) if image else (gone,)
        return found

    def start(self, spec: Spec, secrets: Mapping[str, str]) -> None:
        """See `Engine.start`."""
        if one := self._part(spec.component):
            removal.end(one, self.folder)
        given = compose_file.secrets(secrets)
        docker_compose.up(spec.project, self.folder / compose_file.FILE, spec.component, given)

    def stop(self, component: str, *, discard_volumes: bool = False) -> tuple[str, ...]:
        """See `Engine.stop`."""
        one = self._part(component) or containers.stranger(self.home, component)
        said = removal.end(one, self.folder, discard_volumes=discard_volumes) if one else ()
        if component == components.OPA and one:
            removal.remove_networks(one, self.home)
        return said

    def run(self, spec: Spec, files: Mapping[str, bytes], words: Sequence[str]) -> Ran:
        """See `Engine.run`."""
        return one_off.run(spec, self.home, files, words)

    def publish(self, new: Configuration, *, back: Configuration | None = None) -> None:
        """See `Engine.publish`."""
        publication.publish(ContainerNginx(self.home), self.folder / "nginx", new, back=back)

    def leaving(self, slot: Slot | None = None) -> Leaving:
        """See `Engine.leaving`."""
        nginx = ContainerNginx(self.home)
        workers = frozenset(pid for pid, leaves in nginx.workers().items() if leaves)
        host, port = self.observe().reach(slot)
        return Leaving(workers, nginx.draining_connections(host, port) if host else None)

    def logs(self, component: str, *, lines: int = 20) -> tuple[str, ...]:
        """See `Engine.logs`."""
        one = self._part(component)
        if one is None:
            return ()
        with translated(f"the log of {component} cannot be read"):
            return tuple(docker_client.last_output(one, tail=lines).splitlines())

    def access_log(self, seconds: float) -> AccessLog:
        """See `Engine.access_log`: nginx writes it to its standard output."""
        return access_log_output.read(self._part(components.NGINX), seconds)

    def inspect(self, slot: Slot) -> Inspection:
        """See `Engine.inspect`."""
        one = self._part(components.app(slot))
        if one is None:
            return Inspection(None, ())
        data = tuple(f"data at {held}" for held in image_volumes.held(one, self.folder))
        return Inspection(sockets.listening(one) if runs(one) else None, data)

    def quiesce(self) -> None:
        """See `Engine.quiesce`."""
        docker_compose.end_leftovers(self.folder / compose_file.FILE)
        looks = [self._look()]

        def settled() -> bool:
            looks.append(self._look())
            return looks[-1] == looks[-2]

        probe.until(settled, seconds=SETTLE_SECONDS, every=0.5)

    def _look(self) -> set[tuple[str, str]]:
        return {(str(one.id), one.status) for one in containers.every(self.home)}

    def remove_all(
        self, say: Say, *, discard_volumes: bool = False, data_volumes: bool = False
    ) -> tuple[str, ...]:
        """See `Engine.remove_all`."""
        return removal.remove_all(
            self.folder, say, discard_volumes=discard_volumes, data_volumes=data_volumes
        )

    def _with_numeric_user(self, spec: Spec) -> Spec:
        """Return the Spec with its user as uid:gid; IMAGE_USER stays while the image is missing."""
        if spec.user != IMAGE_USER or not spec.release:
            return spec
        user = image_user.as_numbers(spec.image, spec.project, self.folder) or IMAGE_USER
        tmpfs = tuple(tmpfs_entry(path, user) for path in spec.release.tmpfs)
        return dataclasses.replace(spec, user=user, tmpfs=tmpfs)

    def _part(self, component: str) -> Container | None:
        return containers.one_part(self.home, component)

    @property
    def _templates(self) -> tuple[Path, ...]:
        return (self.root / "templates", DEFAULTS / "templates")

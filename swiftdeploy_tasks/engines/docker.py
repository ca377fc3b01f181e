"""The docker engine: containers on this host, started by compose, looked at and removed by the SDK.

Compose is given one service at a time; stopping, removing and looking need no rendered file and no secret.
"""

from __future__ import annotations

import dataclasses
import io
import tarfile
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from swiftdeploy_tasks import artifacts, files
from swiftdeploy_tasks.engines import docker_client, docker_compose, docker_images
from swiftdeploy_tasks.engines.docker_client import client, ours, translated
from swiftdeploy_tasks.engines.local_nginx import OLDEST
from swiftdeploy_tasks.engines.protocol import Facts, Say
from swiftdeploy_tasks.errors import EngineError, GateUnavailable, PreflightError, ProxyError
from swiftdeploy_tasks.manifest import Manifest
from swiftdeploy_tasks.preflight import Finding
from swiftdeploy_tasks.release import SLOTS, Placement, Proxy, Release, Site, Slot, State, from_label, from_manifest

if TYPE_CHECKING:
    from docker.models.containers import Container

CONF = f"{artifacts.NGINX_MOUNT}/nginx.conf"
LOG_FOLDER = "/var/log/swiftdeploy"
GRACE = 15


@dataclass(frozen=True)
class DockerEngine:
    """Containers that carry `home`; `root` is the project's folder."""

    root: Path
    home: Path
    name: str = "docker"
    gate: str = "server"

    def check(self, manifest: Manifest) -> tuple[Finding, ...]:
        """See `Engine.check`."""
        try:
            compose = docker_compose.version()
            engine = client().version()["Version"]
            self._refuse_strangers(manifest)
        except PreflightError as error:
            return (Finding("engine", False, error.message, error.next),)
        except EngineError as error:
            return (Finding("engine", False, error.message, error.next, unreachable=True),)
        found = Finding("engine", True, f"docker: Engine {engine}, Compose {compose}")
        return (found, self._check_image(manifest), self._check_compose(manifest))

    def _refuse_strangers(self, manifest: Manifest) -> None:
        from docker.errors import NotFound

        wanted = [("container", f"{manifest.name}-{part}") for part in ("nginx", "opa", "app-blue", "app-green")]
        wanted += [("network", manifest.network.name), ("network", f"{manifest.name}-opa")]
        wanted += [("volume", manifest.services.log_volume)]
        for what, name in wanted:
            with translated(f"the {what} {name} cannot be looked up"):
                try:
                    found = getattr(client(), f"{what}s").get(name)
                except NotFound:
                    continue
            docker_client.refuse_stranger(what, name, _labels(found), str(self.home))

    def _check_image(self, manifest: Manifest) -> Finding:
        image = manifest.services.image
        try:
            if docker_images.is_stale(manifest, self.root):
                return Finding("image", True, f"{image} will be built: its context changed or it is not here")
        except PreflightError as error:
            return Finding("image", False, error.message, error.next)
        found = docker_images.identity(image)
        return Finding("image", True, f"{image} is here ({found[7:19]})" if found else f"{image} will be pulled")

    def _check_compose(self, manifest: Manifest) -> Finding:
        rendered = artifacts.render_root(
            manifest, folders=(self.root / "templates", *_defaults()), engine=self.name, with_opa=manifest.gate != "embedded"
        )["docker-compose.yml"]
        complaint = docker_compose.check(manifest.name, rendered, self.root)
        if complaint:
            return Finding("compose", False, complaint, "correct manifest.yaml or templates/docker-compose.yml.j2")
        return Finding("compose", True, "docker compose accepts the file")

    def held_ports(self) -> frozenset[int]:
        """See `Engine.held_ports`."""
        return frozenset(port for one in ours(str(self.home)).values() for _, port in _published(one))

    def test_nginx(self, manifest: Manifest, files: Mapping[str, str]) -> str:
        """See `Engine.test_nginx`."""
        image = manifest.nginx.image
        script = f"nginx -v && nginx -t -q -e /dev/stderr -c {CONF}"
        with translated(f"{image} cannot be run", kind=ProxyError):
            container = client().containers.create(
                image,
                entrypoint=["sh", "-c", script],
                command=[],
                name=f"{manifest.name}-nginx-test-{uuid.uuid4().hex[:8]}",
                user="101:101",
                network_mode="none",
                cap_drop=["ALL"],
                tmpfs={LOG_FOLDER: "mode=1777"},
                labels=docker_client.labels(manifest.name, str(self.home)),
            )
            try:
                container.put_archive("/", _archive(files))
                container.start()
                code = container.wait(timeout=30)["StatusCode"]
                said = container.logs().decode("utf-8", "replace")
            finally:
                container.remove(force=True)
        version = _nginx_version(said, image)
        if code:
            raise ProxyError(f"nginx refuses the configuration: {_complaint(said)}", "invoke validate", log=tuple(said.splitlines()))
        return f"nginx {version} ({image})"

    def nginx_identity(self, manifest: Manifest) -> str:
        """See `Engine.nginx_identity`."""
        return docker_images.identity(manifest.nginx.image)

    def candidate_site(self) -> Site:
        """See `Engine.candidate_site`."""
        return dataclasses.replace(artifacts.CONTAINER_SITE, operators=("172.31.255.254",))

    def obtain(self, manifest: Manifest, say: Say) -> None:
        """See `Engine.obtain`."""
        if manifest.services.build:
            docker_images.build(manifest, self.root, say)
        else:
            docker_images.pull(manifest.services.image, say)
        docker_images.pull(manifest.nginx.image, say)

    def release(self, manifest: Manifest) -> Release:
        """See `Engine.release`: an image that is not here yet has the empty id."""
        return from_manifest(manifest, artifact=docker_images.identity(manifest.services.image), process=())

    def keep(self, manifest: Manifest, release: Release) -> None:
        """See `Engine.keep`."""
        docker_images.keep(manifest.name, release.artifact, release.id)

    def prepare(self, manifest: Manifest) -> None:
        """See `Engine.prepare`."""
        self._make_network(manifest.name, manifest.network.name, manifest.network.driver_type)
        self._make_volume(manifest)
        files.make_folder(self.home)
        files.make_folder(self.home / "nginx", mode=0o755)

    def _make_network(self, project: str, name: str, driver: str) -> None:
        from docker.errors import NotFound

        with translated(f"the network {name} cannot be made"):
            try:
                found = client().networks.get(name)
                docker_client.refuse_stranger("network", name, _labels(found), str(self.home))
            except NotFound:
                client().networks.create(name, driver=driver, labels=docker_client.labels(project, str(self.home)))

    def _make_volume(self, manifest: Manifest) -> None:
        """Make the log volume, and make it writable for nginx and the app, which are other users."""
        from docker.errors import NotFound

        name = manifest.services.log_volume
        with translated(f"the volume {name} cannot be made"):
            try:
                found = client().volumes.get(name)
                docker_client.refuse_stranger("volume", name, _labels(found), str(self.home))
                return
            except NotFound:
                labels = docker_client.labels(manifest.name, str(self.home))
                client().volumes.create(name, labels=labels)
            try:
                client().containers.run(
                    manifest.nginx.image,
                    entrypoint=["chmod", "1777", "/v"],
                    command=[],
                    user="0:0",
                    read_only=True,
                    cap_drop=["ALL"],
                    network_mode="none",
                    volumes={name: {"bind": "/v", "mode": "rw"}},
                    labels=labels,
                    remove=True,
                )
            except BaseException:
                client().volumes.get(name).remove(force=True)
                raise

    def facts(self, manifest: Manifest) -> Facts:
        """See `Engine.facts`."""
        site = dataclasses.replace(artifacts.CONTAINER_SITE, operators=_gateways(manifest.network.name))
        placed = self.observe().slots
        names = {"nginx": manifest.nginx.image, "opa": manifest.opa.image}
        images = {part: found for part, name in names.items() if (found := docker_images.identity(name))}
        return Facts(site, {slot: there.address for slot, there in placed.items()}, images)

    def observe(self) -> State:
        """See `Engine.observe`."""
        found = ours(str(self.home))
        slots: dict[Slot, Placement] = {}
        for slot in SLOTS:
            if one := found.get(f"app-{slot}"):
                release = from_label(one.labels.get("swiftdeploy.release", ""))
                slots[slot] = Placement(
                    release=release,
                    spec=one.labels.get("swiftdeploy.spec", ""),
                    live=_runs(one),
                    address=f"app-{slot}:{release.port}" if release else "",
                    since=_since(one),
                )
        nginx = found.get("nginx")
        return State(Proxy(nginx.labels.get("swiftdeploy.spec", ""), "") if nginx else None, slots)

    def operator_port(self) -> int:
        """See `Engine.operator_port`."""
        nginx = ours(str(self.home)).get("nginx")
        if nginx is None or not _runs(nginx):
            return 0
        return next((port for host, port in _published(nginx) if host == "127.0.0.1"), 0)

    def proxy_spec(self, manifest: Manifest, compose: str) -> str:
        """See `Engine.proxy_spec`."""
        return _spec(compose, "nginx")

    def slot_spec(self, slot: Slot, compose: str) -> str:
        """See `Engine.slot_spec`."""
        return _spec(compose, f"app-{slot}")

    def start_proxy(self, manifest: Manifest, spec: str) -> None:
        """See `Engine.start_proxy`."""
        self._remove("nginx")
        try:
            docker_compose.up(manifest.name, self._compose_file, "nginx", {})
        except EngineError as error:
            raise ProxyError(error.message, error.next, log=error.log or self.logs("nginx")) from None

    def test_candidate(self, folder: Path) -> None:
        """See `Engine.test_candidate`."""
        self._nginx(["-t", "-q", "-c", f"{artifacts.NGINX_MOUNT}/next/nginx.conf"], "nginx refuses the configuration")

    def reload_proxy(self) -> None:
        """See `Engine.reload_proxy`."""
        self._nginx(["-s", "reload", "-c", CONF], "nginx cannot be reloaded")

    def _nginx(self, words: list[str], problem: str) -> None:
        nginx = ours(str(self.home)).get("nginx")
        if nginx is None:
            raise ProxyError("nginx does not run any more", "invoke deploy")
        with translated(problem, kind=ProxyError):
            code, said = nginx.exec_run(["nginx", "-e", "/dev/stderr", *words])
        if code:
            text = said.decode("utf-8", "replace")
            raise ProxyError(f"{problem}: {_complaint(text)}", "invoke validate", log=tuple(text.splitlines()))

    def workers(self) -> Mapping[int, bool]:
        """See `Engine.workers`."""
        nginx = ours(str(self.home)).get("nginx")
        if nginx is None:
            return {}
        with translated("nginx's processes cannot be listed", kind=ProxyError):
            rows = nginx.top(ps_args="-eo pid,ppid,args")["Processes"] or []
        workers = [(int(row[0]), " ".join(row[2:])) for row in rows]
        return {pid: "shutting down" in title for pid, title in workers if title.startswith("nginx: worker process")}

    def start_slot(self, manifest: Manifest, slot: Slot, release: Release, secrets: Mapping[str, str]) -> None:
        """See `Engine.start_slot`."""
        self._remove(f"app-{slot}")
        docker_compose.up(manifest.name, self._compose_file, f"app-{slot}", secrets)

    def stop_slot(self, slot: Slot) -> None:
        """See `Engine.stop_slot`."""
        self._remove(f"app-{slot}")

    def is_alive(self, slot: Slot) -> bool:
        """See `Engine.is_alive`: one that its restart policy had to start again has died."""
        one = ours(str(self.home)).get(f"app-{slot}")
        return one is not None and _runs(one) and one.attrs.get("RestartCount", 0) == 0

    def logs(self, component: str, *, lines: int = 20) -> tuple[str, ...]:
        """See `Engine.logs`."""
        one = ours(str(self.home)).get(component)
        if one is None:
            return ()
        with translated(f"the log of {component} cannot be read"):
            return tuple(one.logs(tail=lines).decode("utf-8", "replace").splitlines())

    def prepare_opa(self, manifest: Manifest, say: Say) -> None:
        """See `Engine.prepare_opa`."""
        try:
            docker_images.pull(manifest.opa.image, say)
            self._make_network(manifest.name, f"{manifest.name}-opa", "bridge")
        except EngineError as error:
            raise GateUnavailable(f"OPA cannot be started: {error.message}", error.next) from None

    def opa_spec(self, manifest: Manifest, compose: str) -> str:
        """See `Engine.opa_spec`."""
        return _spec(compose, "opa")

    def start_opa(self, manifest: Manifest, spec: str, say: Say) -> bool:
        """See `Engine.start_opa`."""
        there = ours(str(self.home)).get("opa")
        if there and _runs(there) and there.labels.get("swiftdeploy.spec") == spec:
            return False
        self._remove("opa")
        say("starting OPA")
        try:
            docker_compose.up(manifest.name, self._compose_file, "opa", {})
        except EngineError as error:
            raise GateUnavailable(f"OPA does not start: {error.message}", error.next, log=error.log) from None
        return there is None

    def stop_opa(self) -> None:
        """See `Engine.stop_opa`."""
        self._remove("opa")
        for network in self._networks():
            if network.name.endswith("-opa"):
                with translated(f"the network {network.name} cannot be removed"):
                    network.remove()

    def disks(self) -> tuple[Path, ...]:
        """See `Engine.disks`: the engine's data root, the project and its state."""
        with translated("the engine's data root cannot be asked"):
            data_root = Path(client().info()["DockerRootDir"])
        return (data_root, self.root, self.home)

    def remove_all(self, say: Say) -> tuple[str, ...]:
        """See `Engine.remove_all`."""
        removed: list[str] = []
        while found := ours(str(self.home)):
            for service in sorted(found, key=lambda service: service != "nginx"):
                say(f"removing {found[service].name}")
                removed.append(str(found[service].name))
                self._remove(service)
        with translated("what is left cannot be removed"):
            volumes = client().volumes.list(filters={"label": f"{docker_client.HOME}={self.home}"})
            for left in [*self._networks(), *volumes]:
                say(f"removing {left.name}")
                left.remove()
                removed.append(str(left.name))
        return tuple(dict.fromkeys(removed))

    def _networks(self) -> list[Any]:
        with translated("the networks cannot be listed"):
            return list(client().networks.list(filters={"label": f"{docker_client.HOME}={self.home}"}))

    def _remove(self, service: str) -> None:
        from docker.errors import NotFound

        one = ours(str(self.home)).get(service)
        if one is None:
            return
        with translated(f"{one.name} cannot be removed"):
            try:
                if one.status == "paused":
                    one.unpause()
                one.stop(timeout=3 if service in {"nginx", "opa"} else GRACE)
                one.remove(force=True, v=True)
            except NotFound:
                return

    @property
    def _compose_file(self) -> Path:
        return self.home / "compose.yml"


def _defaults() -> tuple[Path, ...]:
    from swiftdeploy_tasks.settings import DEFAULTS

    return (DEFAULTS / "templates",)


def _labels(found: Any) -> Mapping[str, str]:
    held = found.attrs.get("Labels") or (found.attrs.get("Config") or {}).get("Labels")
    return dict(held or {})


def _runs(one: Container) -> bool:
    state = one.attrs["State"]
    return bool(state["Running"]) and not state["Paused"] and not state["Restarting"]


def _since(one: Container) -> float | None:
    try:
        return datetime.fromisoformat(one.attrs["State"]["StartedAt"][:26].rstrip("Z") + "+00:00").timestamp()
    except ValueError:
        return None


def _published(one: Container) -> list[tuple[str, int]]:
    bindings = one.attrs["HostConfig"].get("PortBindings") or {}
    return [(held.get("HostIp", ""), int(held["HostPort"])) for ports in bindings.values() for held in ports or ()]


def _spec(compose: str, service: str) -> str:
    found = artifacts.parse_compose(compose)["services"].get(service) or {}
    return str(found.get("labels", {}).get("swiftdeploy.spec", ""))


def _gateways(network: str) -> tuple[str, ...]:
    from docker.errors import NotFound

    with translated(f"the network {network} cannot be looked up"):
        try:
            pools = client().networks.get(network).attrs["IPAM"]["Config"] or []
        except NotFound:
            return ()
    return tuple(pool["Gateway"] for pool in pools if "." in pool.get("Gateway", ""))


def _archive(files: Mapping[str, str]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, text in files.items():
            entry = tarfile.TarInfo(f"{artifacts.NGINX_MOUNT.lstrip('/')}/{name}")
            entry.size, entry.mode = len(text.encode()), 0o644
            archive.addfile(entry, io.BytesIO(text.encode()))
    return buffer.getvalue()


def _nginx_version(said: str, image: str) -> str:
    import re

    found = re.search(r"nginx/(\d+)\.(\d+)\.(\d+)", said)
    if not found:
        raise PreflightError(f"{image} does not say which nginx it is: {said[:200]!r}", "correct nginx.image")
    if tuple(map(int, found.groups())) < OLDEST:
        wanted = ".".join(map(str, OLDEST))
        raise PreflightError(f"{image} is {found[0]}, and at least {wanted} is needed", "choose a newer nginx.image")
    return found[0].removeprefix("nginx/")


def _complaint(text: str) -> str:
    from swiftdeploy_tasks.engines.local_nginx import first_complaint

    return first_complaint(text)

"""The Specs of a project's components: nginx, OPA and the app in each slot. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath

from swiftdeploy_tasks.manifest.model import Manifest
from swiftdeploy_tasks.model.release import SLOTS, Release, Slot, from_manifest
from swiftdeploy_tasks.model.spec import HealthCheck, Mount, Port, Spec, tmpfs_entry
from swiftdeploy_tasks.settings import LOGS_MOUNT, STATE

NGINX, OPA = "nginx", "opa"
# Where a container finds the folders `nginx`, `counts` and `bundle` of the state.
NGINX_MOUNT = "/etc/swiftdeploy/nginx"
COUNTS_MOUNT = "/var/lib/swiftdeploy/counts"
BUNDLE_MOUNT = "/bundle"
LOOPBACK = "127.0.0.1"
OPA_PORT = 8181
_OPA_ANSWERS = (
    f'r := http.send({{"method":"GET","url":"http://{LOOPBACK}:{OPA_PORT}/health?bundles"}}); '
    "r.status_code == 200"
)


def app(slot: Slot) -> str:
    """Return the name of the component that runs in the slot."""
    return f"app-{slot}"


def volume_name(project: str, name: str) -> str:
    """Return the full name of a volume of the app."""
    return f"{project}-{name}"


def volume_variable(name: str) -> str:
    """Return the name of the variable that holds the folder of this volume."""
    return f"APP_VOLUME_{name.upper().replace('-', '_')}"


def specs(
    manifest: Manifest,
    placed: Mapping[Slot, Release],
    *,
    state: str,
    with_opa: bool,
) -> tuple[Spec, ...]:
    """Return the Specs of nginx, of OPA where it runs, and of the release in each slot.

    `state` is the state folder.
    """
    found = [nginx(manifest, state), *([opa(manifest, state)] if with_opa else [])]
    found += [app_in(manifest, slot, placed[slot]) for slot in SLOTS if slot in placed]
    return tuple(found)


def for_review(manifest: Manifest, *, with_opa: bool) -> tuple[Spec, ...]:
    """Return the Specs of a first deploy, beside which the state folder is found by a relative path."""
    up = "/".join([".."] * len(PurePosixPath(manifest.rendered).parts)) or "."
    release = from_manifest(manifest, artifact="")
    return specs(manifest, {"blue": release}, state=f"{up}/{STATE}", with_opa=with_opa)


def nginx(manifest: Manifest, state: str) -> Spec:
    """Return the Spec of nginx; `state` is the state folder."""
    public, operator = manifest.nginx.port, manifest.nginx.operator_port
    return Spec(
        component=NGINX,
        project=manifest.name,
        image=manifest.nginx.image,
        entrypoint=("nginx", "-e", "/dev/stderr", "-c", f"{NGINX_MOUNT}/nginx.conf", "-g", "daemon off;"),
        user="101:101",
        memory=manifest.nginx.resources.memory,
        cpus=manifest.nginx.resources.cpus,
        # Workers of former configurations too.
        pids=1024,
        mounts=(
            Mount("bind", f"{state}/nginx", NGINX_MOUNT, read_only=True),
            Mount("bind", f"{state}/counts", COUNTS_MOUNT),
            Mount("volume", manifest.services.log_volume, LOGS_MOUNT),
        ),
        tmpfs=(f"/tmp:mode=1777,size={manifest.nginx.temporary_mib}m",),  # noqa: S108  (in the container)
        ports=(Port(public, public), Port(operator, operator, LOOPBACK)),
        networks=(manifest.network.name,),
        health=HealthCheck(("sh", "-c", "kill -0 $(cat /tmp/nginx.pid)"), interval=5, timeout=3),
        stop_signal="SIGQUIT",
    )


def opa_network(manifest: Manifest) -> str:
    """Return the name of the network that OPA alone joins."""
    return f"{manifest.name}-opa"


def opa(manifest: Manifest, state: str) -> Spec:
    """Return the Spec of OPA; `state` is the state folder."""
    serve = ("run", "--server", "--addr", f"0.0.0.0:{OPA_PORT}")
    return Spec(
        component=OPA,
        project=manifest.name,
        image=manifest.opa.image,
        command=(*serve, "--bundle", BUNDLE_MOUNT, "--watch", "--log-level", "error"),
        user="1000:1000",
        memory="256m",
        cpus=1.0,
        pids=64,
        mounts=(Mount("bind", f"{state}/bundle", BUNDLE_MOUNT, read_only=True),),
        tmpfs=("/tmp:mode=1777,size=16m",),  # noqa: S108  (in the container)
        ports=(Port(OPA_PORT, manifest.opa.port, LOOPBACK),),
        networks=(opa_network(manifest),),
        health=HealthCheck(("/opa", "eval", "--fail", _OPA_ANSWERS), interval=10, timeout=3),
    )


def app_in(manifest: Manifest, slot: Slot, release: Release) -> Spec:
    """Return the Spec of the app in this slot."""
    own = {
        "MODE": release.mode,
        "APP_VERSION": release.version,
        "APP_PORT": str(release.port),
        "APP_HOST": "0.0.0.0",  # noqa: S104  (in the container)
        **{volume_variable(volume.name): volume.path for volume in release.volumes},
    }
    plain = {name: value for name, value in release.env if value is not None}
    return Spec(
        component=app(slot),
        project=manifest.name,
        image=release.artifact or manifest.services.image,
        command=release.process,
        user=release.user,
        memory=release.resources.memory,
        cpus=release.resources.cpus,
        pids=1024,
        environment=tuple((own | plain).items()),
        secrets=release.secrets,
        mounts=(
            Mount("volume", manifest.services.log_volume, LOGS_MOUNT),
            *(Mount("volume", volume_name(manifest.name, one.name), one.path) for one in release.volumes),
        ),
        tmpfs=tuple(tmpfs_entry(path, release.user) for path in release.tmpfs),
        networks=(manifest.network.name,),
        health=HealthCheck((), interval=10, timeout=5),
        restart=release.restart_policy,
        read_only=release.read_only,
        stop_signal="" if release.stop.signal == "SIGTERM" else release.stop.signal,
        stop_timeout=release.stop.timeout,
        release=release,
        slot=slot,
    )

"""The docker engine's pre-flight checks: `engine`, `image`, `port` and `compose`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from swiftdeploy_tasks.engines import port_check
from swiftdeploy_tasks.engines.docker import (
    buildkit,
    compose_file,
    containers,
    image_paths,
    image_user,
    image_volumes,
    images,
    networks,
)
from swiftdeploy_tasks.engines.docker import compose as docker_compose
from swiftdeploy_tasks.engines.docker.client import client
from swiftdeploy_tasks.engines.docker.containers import PARTS, one_part, published
from swiftdeploy_tasks.engines.local import proxy_process
from swiftdeploy_tasks.errors import EngineError, PreflightError
from swiftdeploy_tasks.manifest.model import Manifest
from swiftdeploy_tasks.model import components
from swiftdeploy_tasks.model.finding import Finding
from swiftdeploy_tasks.model.spec import IMAGE_USER
from swiftdeploy_tasks.settings import DEFAULTS
from swiftdeploy_tasks.system.remembered import remembered


def all_of(manifest: Manifest, root: Path, home: Path, *, with_opa: bool) -> tuple[Finding, ...]:
    """Make the checks `engine`, `image`, `port` and `compose`; all but the first need an engine to ask."""
    try:
        compose = docker_compose.version()
        engine = client().version()["Version"]
        _refuse_strangers(manifest, str(home))
    except PreflightError as error:
        return (Finding("engine", False, error.message, error.next),)
    except EngineError as error:
        return (Finding("engine", False, error.message, error.next, unreachable=True),)
    found = Finding("engine", True, f"docker: Engine {engine}, Compose {compose}")
    ours = frozenset(port for one in containers.every(str(home)) for _, port in published(one))
    return (
        found,
        _image(manifest, root, home),
        port_check.check(manifest, with_opa=with_opa, ours=ours, holder=_holder),
        _compose(manifest, root, home, compose, with_opa=with_opa),
    )


def _holder(port: int) -> str:
    return containers.publisher(port) or proxy_process.listener(port)


def _refuse_strangers(manifest: Manifest, home: str) -> None:
    name, network, volume = manifest.name, manifest.network.name, manifest.services.log_volume
    rename = "give this project another name"
    wanted = [("container", f"{name}-{part}", rename) for part in PARTS]
    wanted += [("network", f"{name}-opa", rename)]
    wanted += [("network", network, _own("network.name", f"{name}-net", network))]
    wanted += [("volume", volume, _own("services.log_volume", f"{name}-logs", volume))]
    if former := containers.former_home(Path(home)):
        raise PreflightError(
            f"the containers of this project were started in {former}, before its folder was renamed",
            "invoke teardown, then: invoke deploy",
        )
    networks.refuse_strangers(wanted, home)
    nginx = one_part(home, "nginx")
    used = tuple(nginx.attrs["NetworkSettings"]["Networks"]) if nginx else ()
    if used and manifest.network.name not in used:
        raise PreflightError(
            f"network.name is {manifest.network.name!r}, and what runs is on {', '.join(used)}; "
            "a running stack cannot change its network",
            "invoke teardown, then: invoke deploy",
        )


def _own(key: str, usual: str, taken: str) -> str:
    return f"set {key}: {usual}" if usual != taken else f"choose another {key}"


def _image(manifest: Manifest, root: Path, home: Path) -> Finding:
    image = manifest.services.image
    try:
        if (build := manifest.services.build) and images.is_stale(manifest, root, home):
            needed = buildkit.refuse_missing(build, root / build.context)
            how = f", with BuildKit ({needed})" if needed else ""
            message = f"{image} will be built{how}: its context changed or it is not here"
            return Finding("image", True, message)
    except PreflightError as error:
        return Finding("image", False, error.message, error.next)
    found = images.description(image)
    if found is None:
        return Finding("image", True, f"{image} will be pulled")
    try:
        refuse_unfit_image(manifest, found, home)
    except PreflightError as error:
        return Finding("image", False, error.message, error.next)
    notice = image_volumes.notice(image_volumes.declared(found, manifest.services))
    return Finding("image", True, f"{image} is here ({found['Id'][7:19]})" + (notice and f"; {notice}"))


def refuse_unfit_image(manifest: Manifest, image: Mapping[str, Any], home: Path) -> None:
    """Raise PreflightError for keys of the manifest that this image cannot run with."""
    services = manifest.services
    if what := image_paths.hidden_by_mount(manifest, image):
        raise PreflightError(what, "give it another path in manifest.yaml")
    may_be_root = manifest.policy.get("isolation", {}).get("non_root") is False
    if services.user == IMAGE_USER and not may_be_root:
        user = image_user.as_numbers(image["Id"], manifest.name, home)
        if user.partition(":")[0] == "0":
            raise PreflightError(
                f"services.user is image, and the user of {services.image} is root",
                "set services.user to a number such as 10001:10001, or policy.isolation.allow_root: true",
            )


def _compose(manifest: Manifest, root: Path, home: Path, version: str, *, with_opa: bool) -> Finding:
    """Let compose read the file, unless this version of it accepted the same bytes before."""
    folders = (root / "templates", DEFAULTS / "templates")
    try:
        text = compose_file.for_review(components.for_review(manifest, with_opa=with_opa), folders)
        remembered(
            home / "checked",
            ["compose", version, text],
            lambda: docker_compose.check(manifest.name, text, root),
        )
    except PreflightError as error:
        return Finding("compose", False, error.message, error.next)
    return Finding("compose", True, "docker compose accepts the file")

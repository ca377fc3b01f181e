"""Images: built when their context changed, pulled when missing, kept by id under a release's tag."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from swiftdeploy_tasks.engines import docker_client
from swiftdeploy_tasks.engines.protocol import Say
from swiftdeploy_tasks.errors import ImageError, PreflightError
from swiftdeploy_tasks.manifest import Build, Manifest

CONTEXT = "swiftdeploy.context"
KEPT = 5
_GENERATED = (
    ".swiftdeploy",
    "history.jsonl",
    "nginx.conf",
    "docker-compose.yml",
    "audit_report.md",
    "audit_report.html",
)


def identity(name: str) -> str:
    """Return the id of the image that the name stands for now, "" when there is none."""
    found = _find(name)
    return str(found.id) if found else ""


def description(name: str) -> Mapping[str, Any] | None:
    """Return what the engine knows of the image, None when it is not here."""
    found = _find(name)
    return None if found is None else dict(found.attrs)


def pull(name: str, say: Say) -> None:
    """Pull the image unless it is here; raises ImageError with the registry's words."""
    if _find(name):
        return
    say(f"pulling {name}")
    with docker_client.translated(
        f"{name} cannot be pulled", kind=ImageError, next="correct the image in manifest.yaml"
    ):
        for event in docker_client.client().api.pull(name, stream=True, decode=True):
            if "error" in event:
                raise ImageError(
                    f"{name} cannot be pulled: {event['error']}", "correct the image in manifest.yaml"
                )


def is_stale(manifest: Manifest, root: Path) -> bool:
    """Return whether services.build has to run: no image, or one of another context."""
    build = manifest.services.build
    found = _find(manifest.services.image)
    return build is not None and (found is None or found.labels.get(CONTEXT) != context_digest(build, root))


def build(manifest: Manifest, root: Path, say: Say) -> None:
    """Build services.image from services.build when its context changed; raises ImageError."""
    wanted, name = manifest.services.build, manifest.services.image
    if wanted is None or not is_stale(manifest, root):
        return
    say(f"building {name} from {wanted.context}")
    log: list[str] = []
    with docker_client.translated(f"{name} cannot be built", kind=ImageError, next="invoke build"):
        events = docker_client.client().api.build(
            path=str(root / wanted.context),
            dockerfile=wanted.dockerfile,
            tag=name,
            buildargs=dict(wanted.args),
            labels={CONTEXT: context_digest(wanted, root)},
            rm=True,
            forcerm=True,
            decode=True,
        )
        _follow(events, name, log, say)


def _follow(events: Iterable[Mapping[str, Any]], name: str, log: list[str], say: Say) -> None:
    for event in events:
        if "error" in event:
            raise ImageError(
                f"{name} cannot be built: {event['error'].strip()}", "invoke build", log=tuple(log[-15:])
            )
        for line in str(event.get("stream", "")).splitlines():
            if line.strip():
                log.append(line)
            if line.startswith("Step "):
                say(line)


def context_digest(build: Build, root: Path) -> str:
    """Return the digest of what the build sees: names, executable bits, bytes, Dockerfile and arguments.

    What SwiftDeploy itself writes is left out, manifest.yaml included: a change of mode is no new image.
    """
    from docker.utils.build import exclude_paths

    folder = root / build.context
    if not (folder / build.dockerfile).is_file():
        raise PreflightError(
            f"services.build names {build.dockerfile} in {folder}, and there is none",
            "correct services.build",
        )
    ignore = folder / ".dockerignore"
    patterns = [line.strip() for line in ignore.read_text().splitlines()] if ignore.is_file() else []
    rules = [line for line in patterns if line and not line.startswith("#")]
    total = hashlib.sha256(repr((build.dockerfile, build.args)).encode())
    for name in sorted(exclude_paths(str(folder), rules, build.dockerfile)):
        path = folder / name
        if Path(name).parts[0] in {*_GENERATED, "manifest.yaml"} or name.endswith(".pyc"):
            continue
        total.update(f"\0{name}\0".encode("utf-8", "surrogateescape"))
        if path.is_symlink():
            total.update(b"link " + os.fsencode(path.readlink()))
        elif path.is_file():
            total.update(b"x " if os.access(path, os.X_OK) else b"- ")
            total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()[:24]


def keep(name: str, artifact: str, release: str) -> None:
    """Tag the image for its release, so that pruning spares it, and drop the oldest tags of ours."""
    with docker_client.translated(f"the image {artifact} cannot be tagged"):
        images = docker_client.client().images
        images.get(artifact).tag(f"{name}-release", tag=release)
        tagged = sorted(images.list(name=f"{name}-release"), key=lambda image: str(image.attrs["Created"]))
        for image in tagged[:-KEPT]:
            for tag in image.tags:
                if tag.startswith(f"{name}-release:"):
                    images.remove(tag)


def _find(name: str) -> Any:
    from docker.errors import ImageNotFound

    with docker_client.translated(f"the image {name} cannot be looked up"):
        try:
            return docker_client.client().images.get(name)
        except ImageNotFound:
            return None

"""Builds with BuildKit, by compose, for a Dockerfile that the engine's classic builder cannot read."""

from __future__ import annotations

import json
import os
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO

from swiftdeploy_tasks.engines.docker import client
from swiftdeploy_tasks.engines.docker import compose as docker_compose
from swiftdeploy_tasks.engines.protocol import Say
from swiftdeploy_tasks.errors import PreflightError
from swiftdeploy_tasks.manifest.model import Build

OLDEST_API = (1, 39)
_FLAG = re.compile(
    r"(RUN|COPY|ADD)\s+(?:--\S+\s+)*?"
    r"(--(?:mount|network|security|link|chmod|parents|exclude|checksum|keep-git-dir))\b",
    re.IGNORECASE,
)
_HERE_DOCUMENT = re.compile(r"(RUN|COPY|ADD)\b.*<<-?[\"']?(\w+)", re.IGNORECASE | re.DOTALL)
_PLATFORM = re.compile(
    r"FROM\b.*\$\{?((?:BUILD|TARGET)PLATFORM)|ARG\s+((?:BUILD|TARGET)(?:PLATFORM|OS|ARCH|VARIANT))\s*$",
    re.IGNORECASE,
)


def need(text: str) -> str:
    """Return what of a Dockerfile only BuildKit can read, and the line that it is in, "" for nothing."""
    ends = {line.strip() for line in text.splitlines()}
    for number, instruction in _instructions(text):
        if found := _FLAG.match(instruction):
            return f"{found[1].upper()} {found[2]} in line {number}"
        if (found := _HERE_DOCUMENT.match(instruction)) and found[2] in ends:
            return f"{found[1].upper()} <<{found[2]} in line {number}"
        if found := _PLATFORM.match(instruction):
            return f"{found[1] or found[2]} in line {number}"
    return ""


def refuse_missing(build: Build, folder: Path) -> str:
    """Return what the Dockerfile needs BuildKit for; raises PreflightError where BuildKit is not there."""
    needed = need((folder / build.dockerfile).read_text(encoding="utf-8", errors="replace"))
    if needed and (why := _missing()):
        raise PreflightError(
            f"{build.dockerfile} needs BuildKit ({needed}), and {why[0]}", f"{why[1]}, then: invoke validate"
        )
    return needed


def run(archive: IO[bytes], build: Build, *, image: str, project: str, say: Say) -> None:
    """Build the packed context under the name `image`; raises ImageError with the build's last lines."""
    with TemporaryDirectory(prefix="swiftdeploy-build-") as folder:
        with tarfile.open(fileobj=archive) as packed:
            packed.extractall(folder, filter="fully_trusted")  # noqa: S202  (we packed it)
        wanted = {
            "context": _plain(folder),
            "dockerfile": _plain(build.dockerfile),
            "args": {name: _plain(value) for name, value in build.args},
        }
        document = {"name": project, "services": {"app": {"image": _plain(image), "build": wanted}}}
        docker_compose.build(project, json.dumps(document), image, say)


def _instructions(text: str) -> Iterator[tuple[int, str]]:
    """Return each instruction, continued lines joined, with the number of its first line."""
    begun, number = "", 0
    for count, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        number = number if begun else count
        begun += stripped.removesuffix("\\")
        if not stripped.endswith("\\"):
            yield number, begun
            begun = ""


def _missing() -> tuple[str, str] | None:
    """Return why there is no BuildKit and what to do, None where there is."""
    if os.environ.get("DOCKER_BUILDKIT", "").lower() in {"0", "false"}:
        return f"DOCKER_BUILDKIT={os.environ['DOCKER_BUILDKIT']} switches it off", "unset DOCKER_BUILDKIT"
    engine = client.client().version()
    if any("Podman" in str(part.get("Name")) for part in engine.get("Components") or ()):
        return "the engine is Podman, which has none", "build the image by hand and remove services.build"
    if tuple(int(part) for part in str(engine["ApiVersion"]).split(".")) < OLDEST_API:
        return f"the Docker Engine {engine['Version']} has none before 18.09", "install a newer Docker Engine"
    compose = docker_compose.version()
    if int(compose.removeprefix("v").partition(".")[0]) > 2 and not docker_compose.has_buildx():
        return f"Docker Compose {compose} builds by buildx, which is not installed", "install docker buildx"
    return None


def _plain(value: str) -> str:
    return value.replace("$", "$$")

"""The volumes that an image declares: each container gets its own, named by the engine.

A volume holds data when it has a file that differs from the image's content at that path.
"""

from __future__ import annotations

import functools
import hashlib
import io
import json
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from swiftdeploy_tasks.engines.docker import containers
from swiftdeploy_tasks.engines.docker.client import client, translated
from swiftdeploy_tasks.engines.docker.differences import is_anonymous
from swiftdeploy_tasks.errors import EngineError
from swiftdeploy_tasks.manifest.model import Services
from swiftdeploy_tasks.model.release import Release
from swiftdeploy_tasks.settings import LOGS_MOUNT
from swiftdeploy_tasks.system import remembered

if TYPE_CHECKING:
    from docker.models.containers import Container


@dataclass(frozen=True)
class HeldVolume:
    """A volume of a container with data in it: where it is mounted, its name, and how that is known."""

    path: str
    volume: str
    sign: str

    def __str__(self) -> str:
        return f"{self.path} ({self.sign})"


def declared(image: Mapping[str, Any] | None, app: Services | Release) -> tuple[str, ...]:
    """Return the paths at which the image declares a volume that no mount of the app covers."""
    volumes = (image or {}).get("Config", {}).get("Volumes") or {}
    covered = {LOGS_MOUNT, *app.tmpfs, *(volume.path for volume in app.volumes)}
    return tuple(sorted(path for path in volumes if path.rstrip("/") not in covered))


def notice(paths: tuple[str, ...]) -> str:
    """Return the notice about volumes at these paths, "" where there are none."""
    if not paths:
        return ""
    volumes = f"the volume{'s' if len(paths) > 1 else ''} {' and '.join(paths)}"
    return (
        f"the image declares {volumes}: each slot has its own, and the content goes with the slot; "
        "services.volumes keeps it"
    )


def anonymous(one: Container) -> dict[str, str]:
    """Return the names of the container's volumes that the engine made for it, by path."""
    return {
        str(mount["Destination"]): str(mount["Name"])
        for mount in one.attrs.get("Mounts") or ()
        if is_anonymous(mount)
    }


def held(one: Container, home: Path) -> tuple[HeldVolume, ...]:
    """Return those of its volumes that hold data.

    Where the image's own content is not known, every file is data. A volume that cannot be read holds data.
    """
    found = []
    for path, volume in sorted(anonymous(one).items()):
        made_of = _made_of(str(one.attrs["Image"]), path)
        known = _known(remembered.remembered(home / "checked", made_of, lambda: "{}", keep=False))
        try:
            with translated(f"the volume {volume} of {one.name} cannot be read"):
                if example := next(_files(one, path, known), None):
                    found.append(HeldVolume(path, volume, f"for example {example[0]}"))
        except (EngineError, tarfile.TarError):
            found.append(HeldVolume(path, volume, "it cannot be read"))
    return tuple(found)


def _known(text: str) -> dict[str, str]:
    """Return what is remembered of an image; nothing where the file that holds it is damaged."""
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def remember_image(image: str, paths: tuple[str, ...], project: str, home: Path) -> None:
    """Note what the image itself has at these paths, by a container that is made and never started."""
    new = [path for path in paths if not remembered.knows(home / "checked", _made_of(image, path))]
    if not new:
        return
    # Without it every file counts as data later; that is no reason to stop now.
    with suppress(EngineError, tarfile.TarError), translated(f"the content of {image} cannot be read"):
        one = client().containers.create(
            image,
            entrypoint=["none"],
            command=[],
            network_mode="none",
            labels=containers.labels_of_a_check(project, str(home)),
        )
        try:
            for path in new:
                found = functools.partial(json.dumps, dict(_files(one, path)))
                remembered.remembered(home / "checked", _made_of(image, path), found)
        finally:
            one.remove(force=True, v=True)


def remove(one: Container, kept: tuple[HeldVolume, ...]) -> None:
    """Remove the container with its anonymous volumes but for those that are kept."""
    from docker.errors import APIError

    others = set(anonymous(one).values()) - {each.volume for each in kept} if kept else set()
    one.remove(force=True, v=not kept)
    for name in sorted(others):
        with suppress(APIError):
            client().volumes.get(name).remove()


def _made_of(image: str, path: str) -> list[str]:
    return ["volume content", image, path]


def _files(one: Container, path: str, known: Mapping[str, str] | None = None) -> Iterator[tuple[str, str]]:
    """Yield each file below the path with what it is, folders apart; only those that differ from `known`."""
    from docker.errors import NotFound

    with suppress(NotFound):
        chunks, _ = one.get_archive(path)
        with tarfile.open(fileobj=cast(Any, io.BufferedReader(_Chunks(chunks))), mode="r|") as archive:
            for member in archive:
                name = member.name.partition("/")[2]
                if member.isdir() or not name:
                    continue
                kind = f"{member.type!r} {member.size} {member.linkname}"
                if member.isreg() and (known is None or known.get(name, "").startswith(kind)):
                    kind += f" {_digest(archive, member)}"
                if known is None or known.get(name) != kind:
                    yield name, kind


def _digest(archive: tarfile.TarFile, member: tarfile.TarInfo) -> str:
    file = archive.extractfile(member)
    return hashlib.file_digest(file, "sha256").hexdigest() if file else ""  # type: ignore[arg-type]


class _Chunks(io.RawIOBase):
    """The chunks of an answer as a file."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks, self._left = iter(chunks), b""

    def readable(self) -> bool:
        """Return True: it can be read once, from start to end."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer with what is there; 0 is the end."""
        while not self._left:
            chunk = next(self._chunks, None)
            if chunk is None:
                return 0
            self._left = chunk
        size = min(len(buffer), len(self._left))
        buffer[:size], self._left = self._left[:size], self._left[size:]
        return size

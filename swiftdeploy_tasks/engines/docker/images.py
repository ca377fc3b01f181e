"""Images: built when their context changed, pulled when missing, kept by a tag for each release."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from swiftdeploy_tasks.engines.docker import build_context, buildkit, client
from swiftdeploy_tasks.engines.protocol import Say
from swiftdeploy_tasks.errors import ImageError
from swiftdeploy_tasks.manifest.model import Build, Manifest

KEPT = 5
_RELEASE = re.compile(r"[0-9a-f]{12}")
_CONTEXT = re.compile(r"[0-9a-f]{24}")


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
    with client.translated(
        f"{name} cannot be pulled", kind=ImageError, next="correct the image in manifest.yaml"
    ):
        for event in client.client().api.pull(name, stream=True, decode=True):
            if "error" in event:
                raise ImageError(
                    f"{name} cannot be pulled: {event['error']}", "correct the image in manifest.yaml"
                )


def is_stale(manifest: Manifest, root: Path, home: Path) -> bool:
    """Return whether services.build has to run: no image, or one of another context."""
    if manifest.services.build is None:
        return False
    context = build_context.read(manifest, manifest.services.build, root=root, home=home)
    there = identity(manifest.services.image)
    return not there or identity(f"{_contexts(manifest)}:{context.digest()}") != there


def build(manifest: Manifest, root: Path, home: Path, say: Say) -> str:
    """Build services.image from services.build when its context changed; return its id; raises ImageError."""
    wanted, name = manifest.services.build, manifest.services.image
    if wanted is None:
        return identity(name)
    build_context.leave_out_outputs(wanted, root=root, home=home, say=say)
    if not is_stale(manifest, root, home):
        return identity(name)
    say(f"building {name} from {wanted.context}")
    context = build_context.read(manifest, wanted, root=root, home=home)
    with (
        client.translated(f"{name} cannot be built", kind=ImageError, next="invoke build"),
        context.archive() as archive,
    ):
        # The digest is that of the bytes that are sent: the folder may change meanwhile.
        digest = build_context.digest_of(archive, wanted)
        if buildkit.refuse_missing(wanted, context.folder):
            buildkit.run(archive, wanted, image=name, project=manifest.name, say=say)
        else:
            _build_classic(archive, wanted, name, say)
        built = identity(name)
        _note_context(manifest, built, digest)
    return built


def _build_classic(archive: IO[bytes], wanted: Build, name: str, say: Say) -> None:
    events = client.client().api.build(
        fileobj=archive,
        custom_context=True,
        dockerfile=wanted.dockerfile,
        tag=name,
        buildargs=dict(wanted.args),
        rm=True,
        forcerm=True,
        decode=True,
    )
    _follow(events, name, say)


def _contexts(manifest: Manifest) -> str:
    """Return the repository whose tags name the context that an image was built from.

    A label would make two images of one content.
    """
    return f"{manifest.name}-context"


def _note_context(manifest: Manifest, image: str, digest: str) -> None:
    from docker.errors import APIError

    repository, images = _contexts(manifest), client.client().images
    images.get(image).tag(repository, tag=digest)
    tags = [tag for found in images.list(name=repository) for tag in _ours(repository, _CONTEXT, found.tags)]
    for tag in tags:
        if tag != f"{repository}:{digest}":
            with suppress(APIError):  # the last name of an image that a container uses
                images.remove(tag)


def _follow(events: Iterable[Mapping[str, Any]], name: str, say: Say) -> None:
    log: list[str] = []
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


def keep(name: str, artifact: str, release: str) -> None:
    """Tag the image for its release, so that pruning spares it, and drop the oldest tags of ours."""
    with client.translated(f"the image {artifact} cannot be tagged"):
        images = client.client().images
        images.get(artifact).tag(f"{name}-release", tag=release)
        tagged = sorted(images.list(name=f"{name}-release"), key=lambda image: str(image.attrs["Created"]))
        ours = [tags for image in tagged if (tags := _ours(f"{name}-release", _RELEASE, image.tags))]
        for tag in (tag for tags in ours[:-KEPT] for tag in tags):
            images.remove(tag)


def _ours(repository: str, form: re.Pattern[str], tags: Iterable[str]) -> list[str]:
    """Return those that we made: a person may have other images under the same name."""
    pairs = [(tag, *tag.rpartition(":")[::2]) for tag in tags]
    return [tag for tag, of, held in pairs if of == repository and form.fullmatch(held)]


def _find(name: str) -> Any:
    from docker.errors import ImageNotFound

    with client.translated(f"the image {name} cannot be looked up"):
        try:
            return client.client().images.get(name)
        except ImageNotFound:
            return None

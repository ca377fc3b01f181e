"""OPA in a container: checks policies without network access, and identifies our server."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from swiftdeploy_tasks.engines.docker import containers
from swiftdeploy_tasks.engines.docker.client import archive, client, last_output, translated
from swiftdeploy_tasks.errors import EngineError, GateUnavailable
from swiftdeploy_tasks.proxy.probe import HOST

if TYPE_CHECKING:
    from docker.models.containers import Container

# For a host that is busy: it takes a part of a second on another.
RUN_SECONDS = 90
# A cut answer is no JSON, so it is no answer.
RUN_BYTES = 16 << 20
_FOLDER = "bundle"
_INPUT = "input.json"


def run(image: str, project: str, home: str, files: Mapping[str, bytes], words: Sequence[str]) -> str:
    """See `Engine.run_opa`: the input is a file, since nothing is attached to the container."""
    given = {f"{_FOLDER}/{name}": content for name, content in files.items()} | {_INPUT: b"{}"}
    command = [word if word != "--stdin-input" else f"--input=/{_INPUT}" for word in words]
    try:
        with translated(f"{image} cannot check the policies"):
            container = client().containers.create(
                image,
                command=command,
                name=f"{project}-opa-check-{uuid.uuid4().hex[:8]}",
                user="1000:1000",
                working_dir=f"/{_FOLDER}",
                network_mode="none",
                cap_drop=["ALL"],
                mem_limit="256m",
                labels=containers.labels_of_a_check(project, home),
            )
            try:
                container.put_archive("/", archive(given))
                container.start()
                container.wait(timeout=RUN_SECONDS)
                printed = last_output(container, most=RUN_BYTES, stderr=False) or last_output(container)
            finally:
                container.remove(force=True, v=True)
    except EngineError as error:
        raise GateUnavailable(error.message, error.next) from None
    return printed


def doubt(opa: Container | None, port: int) -> str:
    """Return why what answers on the port is not this container, "" when it is."""
    if opa is None or not containers.runs(opa):
        return f"the OPA of this project does not run, so what answers on {HOST}:{port} is something else"
    if (HOST, port) not in containers.published(opa):
        return (
            f"the OPA of this project does not publish {HOST}:{port}, so what answers there is something else"
        )
    return ""

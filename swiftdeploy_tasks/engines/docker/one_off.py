"""Runs the program of a Spec once, in a container without network that is removed afterwards."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence

from swiftdeploy_tasks.engines.docker import containers
from swiftdeploy_tasks.engines.docker.client import archive, client, last_output, translated
from swiftdeploy_tasks.engines.protocol import Ran
from swiftdeploy_tasks.model.spec import Spec

# For a host that is busy: the checks of nginx and OPA take a part of a second on another.
SECONDS = 90
# A cut answer of OPA is no JSON, so it is no answer.
OUTPUT_BYTES = 16 << 20
_FOLDER = "swiftdeploy"


def run(spec: Spec, home: str, files: Mapping[str, bytes], words: Sequence[str]) -> Ran:
    """See `Engine.run`: what it prints on its standard output, or where that is empty, all of it."""
    with translated(f"{spec.image} cannot be run"):
        container = client().containers.create(
            spec.image,
            entrypoint=list(spec.entrypoint[:1]) or None,
            command=list(words),
            name=f"{spec.project}-{spec.component}-check-{uuid.uuid4().hex[:8]}",
            user=spec.user,
            working_dir=f"/{_FOLDER}",
            network_mode="none",
            cap_drop=["ALL"],
            mem_limit=spec.memory,
            tmpfs={mount.target: "mode=1777" for mount in spec.mounts if mount.type == "volume"},
            labels=containers.labels_of_a_check(spec.project, home),
        )
        try:
            container.put_archive("/", archive({f"{_FOLDER}/{name}": own for name, own in files.items()}))
            container.start()
            code = container.wait(timeout=SECONDS)["StatusCode"]
            printed = last_output(container, most=OUTPUT_BYTES, stderr=False) or last_output(container)
        finally:
            container.remove(force=True, v=True)
    return Ran(code, printed, spec.image)

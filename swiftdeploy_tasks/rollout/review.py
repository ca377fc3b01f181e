"""The two files at the root, for people and reviews: what a first deploy makes, with blue at 100."""

from __future__ import annotations

from pathlib import Path

from swiftdeploy_tasks.engines import registry
from swiftdeploy_tasks.engines.docker import compose_file
from swiftdeploy_tasks.engines.protocol import Engine
from swiftdeploy_tasks.manifest.model import Manifest
from swiftdeploy_tasks.model import components
from swiftdeploy_tasks.model.state import Traffic
from swiftdeploy_tasks.proxy import configuration
from swiftdeploy_tasks.rollout import policies


def render(manifest: Manifest, engine: Engine, folders: tuple[Path, ...]) -> dict[str, str]:
    """Return nginx.conf and docker-compose.yml by name; they depend on the manifest and the engine alone."""
    site = registry.review_site(engine.name)
    rendered = configuration.render(
        manifest,
        site,
        folders=folders,
        addresses={"blue": site.address.format(slot="blue", port=manifest.services.port)},
        traffic=Traffic({"blue": 100}),
        generation="root",
    )
    specs = components.for_review(manifest, with_opa=policies.is_server(manifest, engine))
    return rendered | {"docker-compose.yml": compose_file.for_review(specs, folders)}

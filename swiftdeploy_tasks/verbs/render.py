"""Render: nginx.conf and docker-compose.yml at the root, for people and reviews."""

from __future__ import annotations

from swiftdeploy_tasks.rollout import write_back
from swiftdeploy_tasks.session.run import Run


def render(run: Run) -> None:
    """Write nginx.conf and docker-compose.yml at the root."""
    run.report(files=[change.document() for change in write_back.write_root(run)])

"""Build: the images that the manifest names, built or pulled where they are missing."""

from __future__ import annotations

from swiftdeploy_tasks.rollout.project import engine_of, read_manifest
from swiftdeploy_tasks.session.run import Run


def build(run: Run) -> None:
    """Build or pull what the manifest names and is not here."""
    asked, engine = read_manifest(run), engine_of(run)
    with run.screen.working("building"):
        engine.obtain(asked, run.say)
    run.say("nothing more to build or pull")

"""What this invocation works on: the manifest as it was read first, and the engine that it chose.

Read once a process and carried from task to task, so that what was validated is what is deployed.
"""

from __future__ import annotations

from swiftdeploy_tasks import manifest
from swiftdeploy_tasks.engines import choice
from swiftdeploy_tasks.engines.protocol import Engine
from swiftdeploy_tasks.manifest import Manifest
from swiftdeploy_tasks.recording import Run


def read_manifest(run: Run) -> Manifest:
    """Return the manifest as this invocation read it first; raises ManifestError."""
    carried = run.invocation.carried
    if "manifest" not in carried:
        carried["manifest"] = manifest.load(run.settings.manifest, schema=run.settings.schema)
    found: Manifest = carried["manifest"]
    return found


def engine_of(run: Run) -> Engine:
    """Return the project's engine, the same one for the whole invocation."""
    carried = run.invocation.carried
    if "engine" not in carried:
        carried["engine"] = choice.choose(run.settings, read_manifest(run))
    engine: Engine = carried["engine"]
    run.document["engine"] = engine.name
    return engine


def forget_manifest(run: Run) -> None:
    """Read the manifest anew next time: it was rewritten."""
    run.invocation.carried.pop("manifest", None)

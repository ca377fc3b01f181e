"""What this invocation works on: the manifest as it was read first, and the engine that it chose.

Read once a process and carried from task to task, so that what was validated is what is deployed.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from importlib.metadata import version

from swiftdeploy_tasks import manifest
from swiftdeploy_tasks.engines import choice
from swiftdeploy_tasks.engines.protocol import Engine
from swiftdeploy_tasks.errors import ManifestError, PreflightError
from swiftdeploy_tasks.manifest import Manifest, ManifestProblems
from swiftdeploy_tasks.memory import remembered
from swiftdeploy_tasks.recording import Run
from swiftdeploy_tasks.settings import Settings


def read_manifest(run: Run) -> Manifest:
    """Return the manifest as this invocation read it first; raises ManifestError."""
    carried = run.invocation.carried
    if "manifest" not in carried:
        carried["manifest"] = read = _read(run.settings, keep=not run.has_no_effect)
        sources = {variable.from_env for variable in read.services.env if variable.from_env}
        run.invocation.secrets.update(os.environ[source] for source in sources & os.environ.keys())
    found: Manifest = carried["manifest"]
    return found


def _read(settings: Settings, *, keep: bool) -> Manifest:
    """Return the manifest; the same bytes under the same schema are not checked twice."""
    source, rules = manifest.read(settings.manifest), manifest.rules(settings.schema)

    def judge() -> str:
        try:
            found = manifest.check(source, rules)
        except Exception as error:
            words = str(error).partition("\n")[0]
            message = f"the schema {settings.schema} cannot be used: {words}"
            raise ManifestError(message, f"restore {settings.schema.name}") from None
        if found:
            raise ManifestProblems(settings.manifest, found)
        return "valid"

    if source.problems:
        judge()
    versions = [version("swiftdeploy-tasks"), version("jsonschema")]
    made_of = ["manifest", source.digest, json.dumps(rules), *versions]
    remembered(settings.checked, made_of, judge, keep=keep)
    return manifest.build(source, rules)


def engine_of(run: Run) -> Engine:
    """Return the project's engine, the same one for the whole invocation."""
    carried = run.invocation.carried
    if "engine" not in carried:
        refuse_another(run)
        carried["engine"] = choice.choose(run.settings, read_manifest(run))
    return quiet(run, carried["engine"])


def refuse_another(run: Run) -> None:
    """Raise PreflightError where the state folder, which was named, is that of a project of another name.

    Where either manifest cannot be read there is nothing to compare.
    """
    places = run.settings
    if not (places.is_state_elsewhere and places.applied.is_file()):
        return
    with suppress(ManifestError):
        here, there = read_manifest(run).name, manifest.load(places.applied, schema=places.schema).name
        if here != there:
            raise PreflightError(
                f"the state folder {places.state} is that of the project {there!r}, and manifest.yaml here "
                f"gives {here!r}",
                "set INVOKE_SWIFTDEPLOY_STATE to a folder of its own",
            )


def quiet(run: Run, engine: Engine) -> Engine:
    """Return the engine, with nothing still at work of a killed verb."""
    run.document["engine"] = engine.name
    if run.invocation.cut_off:
        engine.quiesce()
        run.invocation.cut_off = None
    return engine


def forget_manifest(run: Run) -> None:
    """Read the manifest anew next time: it was rewritten."""
    run.invocation.carried.pop("manifest", None)

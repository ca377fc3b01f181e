"""The project of an invocation: its manifest, read once, and its engine.

The tasks of an invocation share them, so that what was validated is what is deployed.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version

from swiftdeploy_tasks.engines import registry
from swiftdeploy_tasks.engines.protocol import Engine
from swiftdeploy_tasks.errors import ManifestError, PreflightError
from swiftdeploy_tasks.manifest import loading, validation
from swiftdeploy_tasks.manifest.loading import ManifestProblems
from swiftdeploy_tasks.manifest.model import Manifest
from swiftdeploy_tasks.manifest.source import read
from swiftdeploy_tasks.rollout import policies
from swiftdeploy_tasks.rollout.applied import ManifestFile
from swiftdeploy_tasks.rollout.job import Job
from swiftdeploy_tasks.session.run import Run
from swiftdeploy_tasks.settings import Settings
from swiftdeploy_tasks.system import environ
from swiftdeploy_tasks.system.remembered import remembered


@dataclass
class Known:
    """The manifest and the engine of an invocation, once they are known."""

    file: ManifestFile | None = None
    engine: Engine | None = None


def read_file(run: Run) -> ManifestFile:
    """Return the manifest and its bytes as this invocation read them first; raises ManifestError."""
    known = run.invocation.shared(Known)
    if known.file is None:
        known.file = _read(run.settings, keep=not run.has_no_effect)
        sources = {variable.from_env for variable in known.file.manifest.services.env if variable.from_env}
        run.invocation.secrets.update(
            value for source in sources if (value := environ.of_caller(source)) is not None
        )
    return known.file


def read_manifest(run: Run) -> Manifest:
    """Return the manifest as this invocation read it first; raises ManifestError."""
    return read_file(run).manifest


def carry(run: Run, file: ManifestFile) -> None:
    """Let this be the manifest for the rest of the invocation."""
    run.invocation.shared(Known).file = file


def _read(settings: Settings, *, keep: bool) -> ManifestFile:
    """Return the manifest; the same bytes under the same schema are not checked twice."""
    source, rules = read(settings.manifest), loading.rules(settings.schema)

    def judge() -> str:
        try:
            found = validation.check(source, rules)
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
    return ManifestFile(loading.build(source, rules), source.content)


def engine_of(run: Run) -> Engine:
    """Return the project's engine, the same one for the whole invocation."""
    known = run.invocation.shared(Known)
    if known.engine is None:
        refuse_another(run)
        asked = read_manifest(run)
        known.engine = registry.choose(run.settings, asked)
        if notice := registry.notice(run.settings, asked, known.engine):
            run.say(notice, "warn")
    return quiet(run, known.engine)


def refuse_another(run: Run) -> None:
    """Raise PreflightError where the state folder, which was named, is that of a project of another name.

    Where either manifest cannot be read there is nothing to compare.
    """
    places = run.settings
    if not (places.is_state_elsewhere and places.applied.is_file()):
        return
    with suppress(ManifestError):
        here = _read(places, keep=False).manifest.name
        there = loading.load(places.applied, schema=places.schema).name
        if here != there:
            raise PreflightError(
                f"the state folder {places.state} is that of the project {there!r}, and manifest.yaml here "
                f"gives {here!r}",
                "set INVOKE_SWIFTDEPLOY_STATE to a folder of its own",
            )


def quiet(run: Run, engine: Engine) -> Engine:
    """Return the engine after the processes of a killed verb have ended."""
    run.report(engine=engine.name)
    if run.invocation.cut_off:
        engine.quiesce()
        run.invocation.cut_off = None
    return engine


def forget_manifest(run: Run) -> None:
    """Drop the manifest that was read: the file was rewritten."""
    run.invocation.shared(Known).file = None


def forget_engine(run: Run) -> None:
    """Drop the engine that was chosen: what runs was changed."""
    run.invocation.shared(Known).engine = None


def job_of(run: Run, asked: Manifest, engine: Engine) -> Job:
    """Return a job for this manifest on this engine."""
    return Job(
        settings=run.settings,
        manifest=asked,
        engine=engine,
        with_opa=policies.is_server(asked, engine),
        emit=run.emit,
    )

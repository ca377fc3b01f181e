"""Validate: every pre-flight check of the manifest, the engine and the policies."""

from __future__ import annotations

from swiftdeploy_tasks.errors import ManifestError, PreflightError
from swiftdeploy_tasks.manifest.loading import ManifestProblems
from swiftdeploy_tasks.model.finding import Finding, failure
from swiftdeploy_tasks.rollout import preflight
from swiftdeploy_tasks.rollout.project import engine_of, read_manifest
from swiftdeploy_tasks.session.events import Checked
from swiftdeploy_tasks.session.run import Run


def validate(run: Run) -> None:
    """Make all checks and print them; raises what the failed ones call for."""
    findings = _findings(run)
    run.emit(Checked(findings=findings))
    run.report(
        checks=[{"name": f.name, "passed": f.passed, "message": f.message, "next": f.next} for f in findings]
    )
    if problem := failure(findings):
        raise problem


def _findings(run: Run) -> tuple[Finding, ...]:
    try:
        asked = read_manifest(run)
    except ManifestProblems as error:
        problems = tuple(Finding(p.stage, False, p.text, error.next) for p in error.problems)
        return preflight.with_the_rest(problems, "the manifest is not valid")
    except ManifestError as error:
        found = Finding("fields", False, error.message, error.next)
        return preflight.with_the_rest((found,), "the schema cannot be used")
    try:
        engine = engine_of(run)
    except PreflightError as error:
        return preflight.with_the_rest(
            (Finding("engine", False, error.message, error.next),), "there is no engine"
        )
    verb = run.invocation.named[0][0] if run.invocation.named else run.task
    return preflight.all_of(run.settings, asked, engine, needs_secrets=verb != "promote")

"""What the verbs do that change no traffic: validate, render, build, teardown.

Stands apart from `lifecycle`, which is wiring. It carries values between the rooms and has no rule of its
own.
"""

from __future__ import annotations

import shutil

from swiftdeploy_tasks import (
    admission,
    artifacts,
    checks,
    files,
    manifest_edit,
    releases,
    reserve,
    root_files,
)
from swiftdeploy_tasks.applied import ManifestFile
from swiftdeploy_tasks.artifacts import FileChange
from swiftdeploy_tasks.engines import choice
from swiftdeploy_tasks.errors import ManifestError, PreflightError, SwiftDeployError
from swiftdeploy_tasks.manifest import ManifestProblems, rendered_folder
from swiftdeploy_tasks.preflight import Finding, failure
from swiftdeploy_tasks.project import carry, engine_of, forget_manifest, read_manifest, refuse_another
from swiftdeploy_tasks.recording import Run
from swiftdeploy_tasks.settings import GENERATED


def validate(run: Run) -> None:
    """Make all checks and print them; raises what the failed ones call for."""
    findings = _findings(run)
    run.screen.findings(findings)
    run.document["checks"] = [
        {"name": f.name, "passed": f.passed, "message": f.message, "next": f.next} for f in findings
    ]
    if problem := failure(findings):
        raise problem


def _findings(run: Run) -> tuple[Finding, ...]:
    try:
        asked = read_manifest(run)
    except ManifestProblems as error:
        problems = tuple(Finding(p.stage, False, p.text, error.next) for p in error.problems)
        return checks.with_the_rest(problems, "the manifest is not valid")
    except ManifestError as error:
        found = Finding("fields", False, error.message, error.next)
        return checks.with_the_rest((found,), "the schema cannot be used")
    try:
        engine = engine_of(run)
    except PreflightError as error:
        return checks.with_the_rest(
            (Finding("engine", False, error.message, error.next),), "there is no engine"
        )
    verb = run.invocation.named[0][0] if run.invocation.named else run.task
    return checks.all_of(run.settings, asked, engine, needs_secrets=verb != "promote")


def render(run: Run) -> None:
    """Write nginx.conf and docker-compose.yml at the root."""
    run.document["files"] = [change.document() for change in write_root(run)]


def write_root(run: Run) -> tuple[FileChange, ...]:
    """Write the two files for review; what was edited by hand is shown, kept aside and replaced.

    Raises PreflightError where a file that we did not make is in the way.
    """
    asked, engine, places = read_manifest(run), engine_of(run), run.settings
    folder = root_files.refuse_foreign(asked.rendered, root=places.root, state=places.state)
    rendered = artifacts.render_root(
        asked,
        folders=places.template_folders,
        review=engine.review(asked),
        with_opa=admission.is_server(asked, engine.gate),
    )
    changes = artifacts.compare(folder, rendered)
    try:
        files.make_folder(folder, mode=0o755)
        artifacts.write(changes, aside=places.edited)
    except OSError as error:
        raise PreflightError(
            f"{error.filename or folder} cannot be written: {error.strerror}",
            "make the folder writable",
        ) from None
    run.screen.changes(changes, diff=True)
    mended = [change.path.name for change in changes if change.state == "mended"]
    for name in mended:
        run.note("drift", "mended", target=name, what="the content", found="edited by hand")
    if mended:
        run.say(f"what had been edited by hand was kept in {places.edited}")
    return changes


def write_mode(run: Run, wanted: ManifestFile, *, read: bytes) -> None:
    """Set services.mode in manifest.yaml as it is now, and write the files at the root for `wanted`.

    `read` are the bytes that this invocation read: an edit made since then stays in the file, with a warning.
    """
    carry(run, wanted)
    if wanted.content == read:
        warn_edited(run, read)
    elif manifest_edit.write_mode(run.settings.manifest, wanted.manifest.services.mode) != read:
        _warn_edited(run)
    write_root(run)


def warn_edited(run: Run, read: bytes) -> None:
    """Warn where manifest.yaml was edited since this invocation read it: the edit is not applied."""
    try:
        there = run.settings.manifest.read_bytes()
    except OSError:
        there = b""
    if there != read:
        _warn_edited(run)


def _warn_edited(run: Run) -> None:
    run.note("manifest", "edited")
    run.screen.line(
        f"  manifest.yaml was edited while {run.task} ran: the edit stays in the file and was not applied; "
        "invoke plan shows it",
        "warn",
    )


def try_to_write_mode(run: Run, mode: str) -> None:
    """Rewrite services.mode and the rendered files; where that fails, warn and go on."""
    try:
        forget_manifest(run)
        if read_manifest(run).services.mode != mode:
            manifest_edit.write_mode(run.settings.manifest, mode)
            forget_manifest(run)
    except (SwiftDeployError, OSError) as error:
        run.note("mode", "failed", error=str(error))
        run.screen.line(f"  services.mode could not be rewritten to {mode}: {error}", "warn")
        return
    try:
        write_root(run)
    except (SwiftDeployError, OSError) as error:
        names = " and ".join(artifacts.ROOT_FILES)
        run.screen.line(f"  {names} were not written: {error}; next: invoke render", "warn")


def build(run: Run) -> None:
    """Build or pull what the manifest names and is not here."""
    asked, engine = read_manifest(run), engine_of(run)
    with run.screen.working("building"):
        engine.obtain(asked, run.say)
    run.say("what services names is here")


def teardown(run: Run, *, clean: bool) -> None:
    """Remove everything that carries our home, from any state; with `clean`, what was generated too."""
    refuse_another(run)
    removed: list[str] = []
    problems: list[SwiftDeployError] = []
    for name in choice.candidates(run.settings):
        engine = choice.make(name, run.settings)
        run.document["engine"] = engine.name
        try:
            engine.quiesce()
            with run.screen.working("removing"):
                removed += engine.remove_all(run.say)
        except SwiftDeployError as error:
            problems.append(error)
    run.document["removed"] = removed
    if problems:
        raise problems[0]
    choice.forget(run.settings)
    run.settings.target.unlink(missing_ok=True)
    reserve.forget(run.settings.state)
    if clean:
        removed += _clean(run)
    run.document["removed"] = removed
    run.say(f"removed {', '.join(removed)}" if removed else "nothing of this project runs")


def _clean(run: Run) -> list[str]:
    """Remove what was generated; the history, its head, its lock and what a person or an app wrote stay."""
    places = run.settings
    folders = root_files.places(
        tuple(map(rendered_folder, (places.manifest, places.applied))), root=places.root, state=places.state
    )
    ours = [
        path
        for folder in folders
        for name in artifacts.ROOT_FILES
        if root_files.is_rendered(path := folder / name)
    ]
    removed = []
    for path in ours:
        if not artifacts.is_intact(path):
            artifacts.keep_aside(path, places.edited)
            run.say(f"{path.name} had been edited by hand and was kept in {places.edited}")
        path.unlink()
        removed.append(str(path.relative_to(places.root)))
    for release in sorted(places.releases.glob("*/")):
        if data := releases.remove(release):
            run.say(f"files that the app of release {release.name} wrote were moved to {data}")
    for path in (places.state / name for name in GENERATED):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.exists() or path.is_symlink():
            path.unlink()
        else:
            continue
        removed.append(f"{path.parent.name}/{path.name}")
    return removed

"""Writes the files at the root: the rendered ones, and services.mode in manifest.yaml."""

from __future__ import annotations

from swiftdeploy_tasks.errors import PreflightError, SwiftDeployError
from swiftdeploy_tasks.manifest import edit
from swiftdeploy_tasks.proxy import generated_files, root_files
from swiftdeploy_tasks.proxy.generated_files import FileChange
from swiftdeploy_tasks.rollout import review
from swiftdeploy_tasks.rollout.applied import ManifestFile
from swiftdeploy_tasks.rollout.project import carry, engine_of, forget_manifest, read_manifest
from swiftdeploy_tasks.session.events import Drifted, FilesWritten, ManifestChanged, ModeNotWritten
from swiftdeploy_tasks.session.run import Run
from swiftdeploy_tasks.system import files


def write_root(run: Run) -> tuple[FileChange, ...]:
    """Write the two files for review; what was edited by hand is shown, kept aside and replaced.

    Raises PreflightError where a file that we did not make is in the way.
    """
    asked, engine, places = read_manifest(run), engine_of(run), run.settings
    folder = root_files.refuse_foreign(asked.rendered, root=places.root, state=places.state)
    rendered = review.render(asked, engine, places.template_folders)
    changes = generated_files.compare(folder, rendered)
    try:
        files.make_folder(folder, mode=0o755)
        generated_files.write(changes, aside=places.edited)
    except OSError as error:
        raise PreflightError(
            f"{error.filename or folder} cannot be written: {error.strerror}",
            "make the folder writable",
        ) from None
    run.emit(FilesWritten(files=changes))
    mended = [change.path.name for change in changes if change.state == "mended"]
    for name in mended:
        difference = {"target": name, "what": "the content", "found": "edited by hand"}
        run.emit(Drifted(outcome="mended", difference=difference))
    if mended:
        run.say(f"the edited version is kept in {places.edited}")
    return changes


def write_mode(run: Run, wanted: ManifestFile, *, read: bytes) -> None:
    """Set services.mode in manifest.yaml as it is now, and write the files at the root for `wanted`.

    `read` are the bytes that this invocation read: an edit made since then stays in the file, with a warning.
    """
    carry(run, wanted)
    if wanted.content == read:
        warn_edited(run, read)
    elif edit.write_mode(run.settings.manifest, wanted.manifest.services.mode) != read:
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
    run.emit(ManifestChanged(outcome="edited"))
    run.say(
        f"manifest.yaml was edited while {run.task} ran: the edit stays in the file and was not applied; "
        "invoke plan shows it",
        "warn",
    )


def try_to_write_mode(run: Run, mode: str) -> None:
    """Rewrite services.mode and the rendered files; where that fails, warn and go on."""
    try:
        forget_manifest(run)
        if read_manifest(run).services.mode != mode:
            edit.write_mode(run.settings.manifest, mode)
            forget_manifest(run)
    except (SwiftDeployError, OSError) as error:
        run.emit(ModeNotWritten(error=str(error)))
        run.say(f"services.mode could not be rewritten to {mode}: {error}", "warn")
        return
    try:
        write_root(run)
    except (SwiftDeployError, OSError) as error:
        names = " and ".join(root_files.ROOT_FILES)
        run.say(f"{names} were not written: {error}; next: invoke render", "warn")

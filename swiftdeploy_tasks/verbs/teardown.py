"""Teardown: removes everything that carries the project's home."""

from __future__ import annotations

import shutil

from swiftdeploy_tasks.engines import registry
from swiftdeploy_tasks.errors import SwiftDeployError, UsageError
from swiftdeploy_tasks.manifest.loading import project_name, rendered_folder
from swiftdeploy_tasks.proxy import generated_files, root_files
from swiftdeploy_tasks.rollout import release_store
from swiftdeploy_tasks.rollout.project import refuse_another
from swiftdeploy_tasks.session.run import Run
from swiftdeploy_tasks.settings import GENERATED
from swiftdeploy_tasks.system import reserved_space

DEFAULT_NAME = "swiftdeploy"


def teardown(run: Run, *, clean: bool, volumes: bool = False, is_agreed: bool = False) -> None:
    """Remove everything that carries our home, from any state.

    `clean` also removes generated files. `volumes` also removes every volume of the app, after the project's
    name is typed, unless `is_agreed`.
    """
    refuse_another(run)
    if volumes and not is_agreed:
        _ask_for_name(run)
    removed: list[str] = []
    problems: list[SwiftDeployError] = []
    for name in registry.candidates(run.settings):
        engine = registry.make(name, run.settings)
        run.report(engine=engine.name)
        try:
            engine.quiesce()
            with run.screen.working("removing"):
                removed += engine.remove_all(run.say, discard_volumes=volumes, data_volumes=volumes)
        except SwiftDeployError as error:
            problems.append(error)
    run.report(removed=removed)
    if problems:
        raise problems[0]
    registry.forget(run.settings)
    run.settings.target.unlink(missing_ok=True)
    reserved_space.forget(run.settings.state)
    if clean:
        removed += _clean(run)
    run.report(removed=removed)
    run.say(f"removed {', '.join(removed)}" if removed else "nothing of this project runs")


def _ask_for_name(run: Run) -> None:
    """Ask for the project's name; raises UsageError for another one, or none."""
    name = project_name(run.settings.manifest) or project_name(run.settings.applied) or DEFAULT_NAME
    typed = run.screen.ask(f"This removes the data in the volumes of {name}. Type its name to continue: ")
    if typed != name:
        what = f"{typed!r} is not the project's name" if typed else "the project's name was not typed"
        raise UsageError(f"{what}; nothing was removed", f"type {name}, or: invoke teardown --volumes --yes")


def _clean(run: Run) -> list[str]:
    """Remove what was generated; the history, its head, its lock and what a person or an app wrote stay."""
    places = run.settings
    folders = root_files.places(
        tuple(map(rendered_folder, (places.manifest, places.applied))), root=places.root, state=places.state
    )
    ours = [
        path
        for folder in folders
        for name in root_files.ROOT_FILES
        if root_files.is_rendered(path := folder / name)
    ]
    removed = []
    for path in ours:
        if not generated_files.is_intact(path):
            generated_files.keep_aside(path, places.edited)
            run.say(f"{path.name} had been edited by hand and was kept in {places.edited}")
        path.unlink()
        removed.append(str(path.relative_to(places.root)))
    for release in sorted(places.releases.glob("*/")):
        if data := release_store.remove(release):
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

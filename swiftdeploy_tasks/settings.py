"""Where everything is: the project, its state folder, and the files in both."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from swiftdeploy_tasks.errors import PreflightError

PACKAGE = Path(__file__).resolve().parent
DEFAULTS = PACKAGE / "defaults" if (PACKAGE / "defaults").is_dir() else PACKAGE.parent


STATE = ".swiftdeploy"
# Where a container finds the log volume.
LOGS_MOUNT = "/var/log/swiftdeploy"
# The folder of the state that holds the volumes of the local engine. GENERATED, which is removed, omits it.
VOLUMES = "volumes"
MARKS = frozenset({"history.lock", "head.json", "lock"})
GENERATED = (
    "applied.yaml",
    "bundle",
    "checked",
    "compose.yml",
    "counts",
    "engine",
    "logs",
    "nginx",
    "policies",
    "releases",
    "reserve",
    "run",
    "target.json",
)


@dataclass(frozen=True)
class Settings:
    """The places of one project; every path is absolute."""

    root: Path
    state: Path
    history: Path
    is_project: bool

    @property
    def home(self) -> str:
        """What decides whether a container, network or process is ours."""
        return str(self.state)

    @property
    def is_state_elsewhere(self) -> bool:
        """Whether the state folder is a place that was named, and not the one in the project."""
        return self.state != (self.root / STATE).resolve()

    @property
    def manifest(self) -> Path:
        """The one file that a person edits."""
        return self.root / "manifest.yaml"

    @property
    def schema(self) -> Path:
        """The manifest's JSON Schema: the project's own, else the one that ships."""
        return self._own("schema", "manifest.schema.json") or DEFAULTS / "schema" / "manifest.schema.json"

    @property
    def policies(self) -> Path:
        """The folder of Rego policies: the project's own as a whole, else ours.

        One of its own holds a `.rego` or a `data.json` at any depth, or a folder that cannot be read.
        """
        own = self.root / "policies"
        unread: list[OSError] = []
        for _, _, names in os.walk(own, onerror=unread.append):
            if any(name == "data.json" or name.endswith(".rego") for name in names):
                return own
        is_absent = all(isinstance(error, FileNotFoundError | NotADirectoryError) for error in unread)
        return DEFAULTS / "policies" if is_absent else own

    @property
    def template_folders(self) -> tuple[Path, ...]:
        """Where a template is looked for, the project's own first."""
        return (self.root / "templates", DEFAULTS / "templates")

    @property
    def nginx_folder(self) -> Path:
        """The applied nginx files: the folder that nginx reads."""
        return self.state / "nginx"

    @property
    def counts(self) -> Path:
        """Where nginx writes a line for each request of a watched change."""
        return self.state / "counts"

    @property
    def bundle(self) -> Path:
        """The policy bundle that OPA serves."""
        return self.state / "bundle"

    @property
    def checked(self) -> Path:
        """The verdicts that need not be asked for again."""
        return self.state / "checked"

    @property
    def target(self) -> Path:
        """What a verb that is under way has set out for."""
        return self.state / "target.json"

    @property
    def applied(self) -> Path:
        """The manifest that is in force: a copy of what was deployed last."""
        return self.state / "applied.yaml"

    @property
    def releases(self) -> Path:
        """One folder a release."""
        return self.state / "releases"

    @property
    def logs(self) -> Path:
        """What local processes print."""
        return self.state / "logs"

    @property
    def edited(self) -> Path:
        """What was edited by hand and then replaced; `teardown --clean` leaves it."""
        return self.state / "edited"

    @property
    def written(self) -> tuple[Path, ...]:
        """The folders of the state in which files are replaced."""
        folders = (
            self.nginx_folder,
            self.bundle,
            self.state / "policies",
            self.releases,
            self.edited,
        )
        below = (path for folder in (self.state / "policies", self.releases) for path in folder.glob("*/"))
        return (*folders, *below)

    def _own(self, *parts: str) -> Path | None:
        path = self.root.joinpath(*parts)
        return path if _is_file(path) else None


def find(start: Path | None = None, *, state: str = "") -> Settings:
    """Return the places of the project that `start` (the current folder) lies in.

    The project is the nearest folder upwards that holds `manifest.yaml` or `.swiftdeploy`, folders inside a
    state folder left out; without one it is `start` itself, with `is_project` False. `state`, where given, is
    the state folder. Raises PreflightError for a state folder that cannot be ours.
    """
    here = (start or Path.cwd()).resolve()
    root = next(
        (
            folder
            for folder in (here, *here.parents)
            if (_is_file(folder / "manifest.yaml") or os.path.isdir(folder / STATE))  # noqa: PTH112
            and not _is_in_state(folder)
        ),
        None,
    )
    project = root or here
    folder = (project / (state or STATE)).resolve()
    _refuse_foreign_state(folder, project, named=bool(state))
    return Settings(project, folder, _history(folder, project, named=bool(state)), root is not None)


def _is_in_state(folder: Path) -> bool:
    """Return whether this is inside a state folder, where each release keeps its manifest."""
    return STATE in folder.parts or (
        folder.parent.name == "releases" and _is_file(folder.parents[1] / "lock")
    )


def _history(folder: Path, project: Path, *, named: bool) -> Path:
    """Return where the history lies: in the project, or in a state folder that was named.

    When the project's own folder is named at some times only, the history that exists is continued.
    """
    here, there = (folder, project) if named else (project, folder)
    path, other = here / "history.jsonl", there / "history.jsonl"
    is_own = folder == (project / STATE).resolve()
    return other if is_own and _is_file(other) and not _is_file(path) else path


def _is_file(path: Path) -> bool:
    """Return whether there is a file; False where that is not known."""
    return os.path.isfile(path)  # noqa: PTH113


def _refuse_foreign_state(folder: Path, project: Path, *, named: bool) -> None:
    """Raise PreflightError for a folder with files that are not ours, or for no folder."""
    advice = "set INVOKE_SWIFTDEPLOY_STATE to a folder of its own"
    if not str(folder).isprintable():
        raise PreflightError(
            f"the path {str(folder)!a} has characters that cannot be printed", "rename the folder"
        )
    if folder.exists() and not folder.is_dir():
        raise PreflightError(f"the state folder {folder} is a file", f"move it away, or {advice}")
    if folder.is_dir() and not os.access(folder, os.R_OK | os.X_OK):
        raise PreflightError(f"the state folder {folder} is closed to this user", "run it as its owner")
    if folder == project or folder in project.parents:
        raise PreflightError(f"the state folder {folder} holds the project itself", advice)
    if named and folder.is_dir():
        names = {path.name for path in folder.iterdir()}
        if names and names.isdisjoint(MARKS):
            raise PreflightError(f"the state folder {folder} holds files that are not SwiftDeploy's", advice)


def of_configuration(config: Any) -> Settings:
    """Return the places that Invoke's configuration, or INVOKE_SWIFTDEPLOY_STATE, names.

    The variable is read here too: a mounted collection's prerequisites see none of its own defaults.
    """
    own = config.get("swiftdeploy") or {}
    return find(state=os.environ.get("INVOKE_SWIFTDEPLOY_STATE") or own.get("state") or "")

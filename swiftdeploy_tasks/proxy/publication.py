"""Puts nginx's files in force: tested beside, renamed, reloaded, and seen in every worker.

While a change can be undone, the files on disk are those of the undo: an nginx that starts again meanwhile
reads them.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from swiftdeploy_tasks.errors import ProxyError
from swiftdeploy_tasks.proxy import probe
from swiftdeploy_tasks.system import files

NAMES = ("nginx.conf", "upstream.conf")
# Beside the files that nginx reads: a candidate, and the files of the undo until nginx has read its own.
NEXT, BACK = "next", "back"
# The id of the generation in force while the files on disk are those of the undo.
WATCHED = "watched"
# A reload takes a part of a second, but on a busy host.
IN_FORCE_SECONDS = 90.0
# The Docker Engine starts an nginx that has died again.
COMING_BACK_SECONDS = 1.5


@dataclass(frozen=True)
class Configuration:
    """nginx's files by name, and the id of their generation; `is_tested` where nginx has read them before."""

    generation: str
    files: Mapping[str, bytes]
    is_tested: bool = False


class RunningNginx(Protocol):
    """A running nginx, as its engine controls it; each call may raise ProxyError."""

    def test(self) -> None:
        """Let it read the candidate in the folder NEXT; raises ProxyError with its own words."""
        ...

    def reload(self) -> None:
        """Make it read its files again."""
        ...

    def workers(self) -> Mapping[int, bool]:
        """Return its workers by pid; True where one is shutting down."""
        ...

    def operator_port(self) -> int:
        """Return its operator port, 0 while it does not run."""
        ...

    def log(self) -> tuple[str, ...]:
        """Return the last lines that it printed."""
        ...


def publish(
    nginx: RunningNginx, folder: Path, new: Configuration, *, back: Configuration | None = None
) -> None:
    """Put `new` in force in the nginx that reads `folder`; raises ProxyError, with the former one in force.

    `back` is what an nginx that starts again reads from now on, `new` where it is None.
    """
    before = read(folder)
    if back:
        write(folder / BACK, back)
        files.replace(folder / WATCHED, new.generation)
    write(folder / NEXT, new)
    try:
        if not new.is_tested:
            nginx.test()
        _rename(folder / NEXT, folder)
    finally:
        shutil.rmtree(folder / NEXT, ignore_errors=True)
    try:
        _load(nginx, new.generation, when_read=lambda: _rename(folder / BACK, folder) if back else None)
    except ProxyError:
        if not back:
            files.replace_all({folder / name: content for name, content in before.items()})
            nginx.reload()
        raise
    finally:
        if back:
            _rename(folder / BACK, folder)
    if not back:
        (folder / WATCHED).unlink(missing_ok=True)


def write(folder: Path, configuration: Configuration) -> None:
    """Write the files for an nginx that starts."""
    files.make_folder(folder, mode=0o755)
    files.replace_all({folder / name: content for name, content in configuration.files.items()})


def read(folder: Path) -> dict[str, bytes]:
    """Return the files that are there, by name."""
    return {name: path.read_bytes() for name in NAMES if (path := folder / name).exists()}


def loaded_id(port: int) -> str:
    """Return the id of the generation that answers on the operator port, "" for none."""
    found = probe.generation(port)
    return found.id if found else ""


def _rename(source: Path, folder: Path) -> None:
    """Rename the files from `source` into `folder`; one that was renamed already is left."""
    for name in NAMES:
        with suppress(FileNotFoundError):
            (source / name).replace(folder / name)


def _load(nginx: RunningNginx, generation: str, *, when_read: Callable[[], None]) -> None:
    """Reload nginx and wait until every worker that serves has this generation; raises ProxyError.

    `when_read` is called, once or more, when nginx has read its files. An nginx that started again has read
    them already.
    """
    if loaded_id(nginx.operator_port()) == generation:
        return
    old = set(nginx.workers())
    nginx.reload()

    def loaded_by_all() -> bool:
        port = nginx.operator_port()
        if loaded_id(port) != generation:
            if not port:
                _refuse_dead(nginx)
            return False
        when_read()
        serving = {pid for pid, leaving in nginx.workers().items() if not leaving}
        return bool(serving) and not serving & old

    if not probe.until(loaded_by_all, seconds=IN_FORCE_SECONDS):
        message = f"nginx did not load generation {generation} within {IN_FORCE_SECONDS:g} s"
        raise ProxyError(message, "invoke validate", log=nginx.log())


def _refuse_dead(nginx: RunningNginx) -> None:
    if not probe.until(lambda: bool(nginx.operator_port()), seconds=COMING_BACK_SECONDS, every=0.2):
        raise ProxyError("nginx does not run any more", "invoke deploy", log=nginx.log())

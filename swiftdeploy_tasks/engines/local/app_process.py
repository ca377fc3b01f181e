"""The app of a release as a process on 127.0.0.1: on a free port, from its copy of the source."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from swiftdeploy_tasks.engines.local import launch, processes, source_copy, volume_folders
from swiftdeploy_tasks.errors import AppUnhealthy
from swiftdeploy_tasks.model.components import LOOPBACK, volume_variable
from swiftdeploy_tasks.model.spec import Spec


def start(spec: Spec, secrets: Mapping[str, str], *, root: Path, home: Path, log: Path) -> None:
    """Start the app; `secrets` are by the caller's names. Raises AppUnhealthy where it cannot start."""
    assert spec.release is not None
    copy = source_copy.folder(home, spec.release)
    environment = _environment(spec, secrets, home)
    try:
        launch.start(
            launch.expanded(spec.command, environment),
            environment=environment,
            folder=copy if any(copy.iterdir()) else root,
            log=log,
        )
    except OSError as error:
        raise AppUnhealthy(
            f"{spec.component} cannot be started: {spec.command[0]}: {error.strerror}",
            "correct services.process in manifest.yaml",
        ) from None


def _environment(spec: Spec, secrets: Mapping[str, str], home: Path) -> dict[str, str]:
    assert spec.release is not None
    return {
        processes.PROJECT: spec.project,
        **dict(spec.environment),
        **{name: secrets[source] for name, source in spec.secrets},
        processes.PORT: str(launch.free_port()),
        "APP_HOST": LOOPBACK,
        **{
            volume_variable(one.name): str(volume_folders.place(home, one.name))
            for one in spec.release.volumes
        },
        processes.HOME: str(home),
        processes.PART: "app",
        processes.SLOT: str(spec.slot),
        processes.RELEASE: spec.release.label,
    }

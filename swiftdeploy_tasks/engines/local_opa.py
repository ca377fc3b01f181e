"""OPA as a process on 127.0.0.1: there to be started, what is wrong with the one that runs, started.

Stands apart from the engine because only `gate: server` needs it here.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from swiftdeploy_tasks.engines import local_processes
from swiftdeploy_tasks.engines.local_processes import Found
from swiftdeploy_tasks.errors import GateUnavailable
from swiftdeploy_tasks.manifest import Manifest


def require() -> None:
    """Raise GateUnavailable where there is no `opa` to start."""
    if not shutil.which("opa"):
        raise GateUnavailable(
            "gate is server and there is no opa on PATH", "set gate: embedded in manifest.yaml"
        )


def fault(there: Sequence[Found], spec: str) -> str:
    """Return why OPA has to be started anew, "" when one of `there` runs in this form."""
    if not any(one.runs for one in there):
        return "it was stopped by a signal" if there else "OPA does not run"
    if not any(one.environment.get(local_processes.SPEC) == spec for one in there):
        return "its port changed"
    return ""


def start(manifest: Manifest, home: Path, *, spec: str, log: Path) -> None:
    """Start OPA on the bundle below `home`."""
    words = ["opa", "run", "--server", "--addr", f"127.0.0.1:{manifest.opa.port}"]
    local_processes.start(
        [*words, "--bundle", str(home / "bundle"), "--watch", "--log-level", "error"],
        environment={
            local_processes.PROJECT: manifest.name,
            local_processes.HOME: str(home),
            local_processes.PART: "opa",
            local_processes.SPEC: spec,
        },
        folder=home,
        log=log,
    )

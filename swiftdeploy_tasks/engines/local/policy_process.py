"""OPA as a process on 127.0.0.1: started, and identified by the note of its start.

Environment variables can be forged, so its answers count only while that process listens on OPA's port.
"""

from __future__ import annotations

import os
from pathlib import Path

from swiftdeploy_tasks.engines.local import binaries, launch, processes, start_notes
from swiftdeploy_tasks.errors import GateUnavailable
from swiftdeploy_tasks.model.components import LOOPBACK
from swiftdeploy_tasks.model.spec import Spec
from swiftdeploy_tasks.proxy import probe

# A bound for a host that is busy: OPA takes a part of a second on another.
START_SECONDS = 90.0


def noted(home: Path) -> int:
    """Return the pid of the OPA that was started from here, 0 when it does not run any more."""
    notes = start_notes.noted(home)
    return next((n.pid for n in notes if n.marks.get(processes.PART) == "opa" and n.lives), 0)


def start(spec: Spec, home: Path, *, digest: str, log: Path) -> None:
    """Start OPA on the bundle below `home`, note it, and wait until it listens; raises GateUnavailable."""
    port = spec.ports[0].published
    words: list[str | bytes] = [os.fsencode(binaries.path(spec.component)), "run", "--server"]
    words += ["--addr", f"{LOOPBACK}:{port}", "--bundle", os.fsencode(home / "bundle")]
    try:
        started = launch.start(
            [*words, "--watch", "--log-level", "error"],
            environment={
                processes.PROJECT: spec.project,
                processes.HOME: str(home),
                processes.PART: spec.component,
                processes.SPEC: digest,
            },
            folder=home,
            log=log,
        )
    except OSError as error:
        raise GateUnavailable(f"OPA does not start: {error}", binaries.NEXT) from None
    probe.until(
        lambda: started.poll() is not None or (LOOPBACK, port) in processes.listening_of(started.pid),
        seconds=START_SECONDS,
    )
    if started.poll() is not None:
        holder = processes.listener(port)
        raise GateUnavailable(
            f"OPA ended at once (exit {started.returncode}); port {port} is held by {holder}",
            "end what holds it, or change opa.port in manifest.yaml",
        )

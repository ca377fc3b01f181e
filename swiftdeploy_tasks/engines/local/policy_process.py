"""OPA as a process on 127.0.0.1: checks policies, starts, stops, and is identified.

Environment variables can be forged, so OPA is identified by the note of its start, and its answers count only
while that process listens on OPA's port.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from swiftdeploy_tasks.engines.local import launch, processes, start_notes
from swiftdeploy_tasks.engines.local.processes import Found
from swiftdeploy_tasks.errors import GateUnavailable
from swiftdeploy_tasks.manifest.model import Manifest
from swiftdeploy_tasks.proxy import probe
from swiftdeploy_tasks.proxy.probe import HOST

NEXT = "set gate: embedded in manifest.yaml"
# Bounds for a host that is busy: OPA takes a part of a second on another.
START_SECONDS = 90.0
RUN_SECONDS = 90.0
_INHERITED = ("PATH", "HOME")


def binary() -> str:
    """Return the path of `opa`; raises GateUnavailable where there is none."""
    found = shutil.which("opa")
    if not found:
        raise GateUnavailable("gate is server and there is no opa on PATH", NEXT)
    return found


def identity() -> str:
    """Return path, size and time of `opa`; raises GateUnavailable where there is none."""
    path = binary()
    seen = Path(path).stat()
    return f"{path}:{seen.st_size}:{seen.st_mtime_ns}"


def run(given: Mapping[str, bytes], words: Sequence[str]) -> str:
    """See `Engine.run_opa`."""
    with tempfile.TemporaryDirectory(prefix="swiftdeploy-") as folder:
        for name, content in given.items():
            path = Path(folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        try:
            said = subprocess.run(
                [binary(), *words],
                input=b"{}",
                capture_output=True,
                check=False,
                timeout=RUN_SECONDS,
                cwd=folder,
                env={name: os.environ[name] for name in _INHERITED if name in os.environ},
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise GateUnavailable(f"opa cannot check the policies: {error}", NEXT) from None
    return (said.stdout or said.stderr).decode("utf-8", "replace")


def fault(there: Sequence[Found], home: Path, spec: str, port: int) -> str:
    """Return why OPA has to be restarted, "" when the one that was started from here runs in this form."""
    if not any(one.runs for one in there):
        return "it was stopped by a signal" if there else "OPA does not run"
    mine = [one for one in there if one.process.pid == noted(home)]
    if not mine:
        return "it was not started from this state folder"
    if mine[0].environment.get(processes.SPEC) != spec:
        return "its port changed"
    return doubt(home, port)


def doubt(home: Path, port: int) -> str:
    """See `Engine.opa_doubt`."""
    pid = noted(home)
    if pid and (HOST, port) in processes.listening_of(pid):
        return ""
    what = f"does not listen on {HOST}:{port}" if pid else "does not run"
    return f"the OPA of this project {what}; port {port} is held by {processes.listener(port)}"


def noted(home: Path) -> int:
    """Return the pid of the OPA that was started from here, 0 when it does not run any more."""
    notes = start_notes.noted(home)
    return next((n.pid for n in notes if n.marks.get(processes.PART) == "opa" and n.lives), 0)


def start(manifest: Manifest, home: Path, *, spec: str, log: Path) -> None:
    """Start OPA on the bundle below `home`, note it, and wait until it listens; raises GateUnavailable."""
    port = manifest.opa.port
    words: list[str | bytes] = [os.fsencode(binary()), "run", "--server", "--addr", f"{HOST}:{port}"]
    try:
        started = launch.start(
            [*words, "--bundle", os.fsencode(home / "bundle"), "--watch", "--log-level", "error"],
            environment={
                processes.PROJECT: manifest.name,
                processes.HOME: str(home),
                processes.PART: "opa",
                processes.SPEC: spec,
            },
            folder=home,
            log=log,
        )
    except OSError as error:
        raise GateUnavailable(f"OPA does not start: {error}", NEXT) from None
    probe.until(
        lambda: started.poll() is not None or (HOST, port) in processes.listening_of(started.pid),
        seconds=START_SECONDS,
    )
    if started.poll() is not None:
        holder = processes.listener(port)
        raise GateUnavailable(
            f"OPA ended at once (exit {started.returncode}); port {port} is held by {holder}",
            "end what holds it, or change opa.port in manifest.yaml",
        )

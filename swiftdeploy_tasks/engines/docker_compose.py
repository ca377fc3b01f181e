"""Compose v2, always told the project and the file, with an environment of our own.

A variable or a file beside it can then never turn a command towards something else. It never brings up
more than the one service named, and never recreates a slot: that is removed first.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import psutil

from swiftdeploy_tasks import core_dumps, signals
from swiftdeploy_tasks.engines import docker_client
from swiftdeploy_tasks.errors import EngineError, PreflightError

_INHERITED = ("PATH", "HOME", "LANG", "TZ", "DOCKER_CONFIG", "XDG_RUNTIME_DIR")
SECONDS = 120
LEFTOVER_SECONDS = 5


def version() -> str:
    """Return compose's version; raises PreflightError unless it is v2 or newer."""
    said = _run(["version", "--short"], {})
    found = re.search(r"(\d+)\.\d+", said.stdout)
    if said.returncode or not found:
        raise PreflightError("the docker compose plugin is not installed", "install Docker Compose v2")
    if int(found[1]) < 2:
        raise PreflightError(
            f"docker compose is {said.stdout.strip()}, and v2 is needed", "install Docker Compose v2"
        )
    return said.stdout.strip()


def check(name: str, text: str, folder: Path) -> str:
    """Let compose read the file; raises PreflightError with what it has against it."""
    said = _run(["-p", name, "--project-directory", str(folder), "-f", "-", "config", "-q"], {}, text)
    if said.returncode:
        raise PreflightError(
            f"docker compose refuses the file: {_last_line(said.stderr)}",
            "correct manifest.yaml or templates/docker-compose.yml.j2",
        )
    return "accepted"


def up(name: str, file: Path, service: str, secrets: Mapping[str, str]) -> None:
    """Start one service and nothing else; raises EngineError with compose's own words."""
    said = _run(["-p", name, "-f", str(file), "up", "-d", "--no-deps", "--no-build", service], secrets)
    if said.returncode:
        raise EngineError(
            f"{service} cannot be started: {_last_line(said.stderr)}",
            "invoke validate",
            log=tuple(said.stderr.strip().splitlines()[-10:]),
        )


def end_leftovers(file: Path) -> None:
    """End the compose processes that work on `file`: a killed verb's child goes on alone."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        if str(file) in words and "compose" in words:
            found.append(process)
            with suppress(psutil.Error):
                process.kill()
    psutil.wait_procs(found, timeout=LEFTOVER_SECONDS)


def _run(words: list[str], secrets: Mapping[str, str], text: str = "") -> subprocess.CompletedProcess[str]:
    own = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    command = ["docker", "compose", "--env-file", os.devnull, *words]
    try:
        with (
            signals.deferred(),
            core_dumps.disabled(),
            subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                start_new_session=True,
                env={**own, "DOCKER_HOST": docker_client.address(), **secrets},
            ) as child,
        ):
            return _finished(child, command, text)
    except FileNotFoundError:
        raise PreflightError(
            "there is no docker command on PATH", "install the Docker CLI with Compose v2"
        ) from None


def _finished(
    child: subprocess.Popen[str], command: list[str], text: str
) -> subprocess.CompletedProcess[str]:
    """Return what the child said; one that takes too long is ended with its plugin."""
    try:
        out, err = child.communicate(text, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        raise EngineError(
            f"docker compose {command[-1]} took longer than {SECONDS} s", "invoke validate"
        ) from None
    return subprocess.CompletedProcess(command, child.returncode, out, err)


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.strip().splitlines() if line.strip()]
    return lines[-1] if lines else "it says nothing"

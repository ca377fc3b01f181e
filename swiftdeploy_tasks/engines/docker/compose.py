"""Docker Compose v2, called with the project's name, the file and an environment of our own.

So no variable and no file beside it changes the command's meaning. It starts one service at a time and never
recreates a slot: the slot is removed first.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import psutil

from swiftdeploy_tasks.engines.docker import client
from swiftdeploy_tasks.engines.protocol import Say
from swiftdeploy_tasks.errors import EngineError, ImageError, PreflightError
from swiftdeploy_tasks.system import core_dumps, environ, signals

_INHERITED = ("PATH", "HOME", "LANG", "TZ", "DOCKER_CONFIG", "XDG_RUNTIME_DIR")
SECONDS = 120
_BUILD_STEP = re.compile(r"#\d+ (\[.*\] .*)")
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
    """End the compose processes that work on `file`: they survive a killed verb."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        if str(file) in words and "compose" in words:
            found.append(process)
            with suppress(psutil.Error):
                process.kill()
    psutil.wait_procs(found, timeout=LEFTOVER_SECONDS)


def has_buildx() -> bool:
    """Return whether the docker client has buildx."""
    try:
        said = subprocess.run(
            ["docker", "buildx", "version"],
            check=False,
            capture_output=True,
            env=_environment({}),
            timeout=SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return said.returncode == 0


def build(project: str, text: str, image: str, say: Say) -> None:
    """Build what the compose file `text` says, with BuildKit; raises ImageError with the last lines."""
    command = ["docker", "compose", "--env-file", os.devnull, "-p", project, "-f", "-", "build"]
    last: deque[str] = deque(maxlen=15)
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,
        env=_environment({"DOCKER_BUILDKIT": "1"}),
    ) as child:
        try:
            assert child.stdin and child.stdout
            child.stdin.write(text)
            child.stdin.close()
            for line in child.stdout:
                if line.strip():
                    last.append(line.rstrip())
                if step := _BUILD_STEP.match(line):
                    say(step[1])
        except BaseException:
            os.killpg(child.pid, signal.SIGKILL)
            raise
    if child.returncode:
        raise ImageError(
            f"{image} cannot be built: {last[-1] if last else 'it says nothing'}",
            "invoke build",
            log=tuple(last),
        )


def _environment(more: Mapping[str, str]) -> dict[bytes, bytes]:
    own = {name: value for name in _INHERITED if (value := environ.of_caller(name)) is not None}
    return environ.for_child({**own, **client.environment(), **more})


def _run(words: list[str], secrets: Mapping[str, str], text: str = "") -> subprocess.CompletedProcess[str]:
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
                encoding="utf-8",
                errors="surrogateescape",
                start_new_session=True,
                env=_environment(secrets),
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
    return lines[-1] if lines else "it printed nothing"

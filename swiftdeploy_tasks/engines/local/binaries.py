"""The programs nginx and OPA on this host: where they are, what identifies them, and one run of them."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from swiftdeploy_tasks.engines.local import proxy_process
from swiftdeploy_tasks.engines.protocol import Ran
from swiftdeploy_tasks.errors import EngineError, GateUnavailable
from swiftdeploy_tasks.model import components
from swiftdeploy_tasks.system import environ

NEXT = "set gate: embedded in manifest.yaml"
# For a host that is busy: the checks of nginx and OPA take a part of a second on another.
RUN_SECONDS = 90.0
_INHERITED = ("PATH", "HOME")


def path(component: str) -> str:
    """Return the path of the component's program; raises PreflightError or GateUnavailable without one."""
    if component == components.NGINX:
        return proxy_process.find_nginx()
    found = shutil.which("opa")
    if not found:
        raise GateUnavailable("gate is server and there is no opa on PATH", NEXT)
    return found


def identity(component: str) -> str:
    """Return path, size and time of the program."""
    found = path(component)
    seen = Path(found).stat()
    return f"{found}:{seen.st_size}:{seen.st_mtime_ns}"


def run(component: str, files: Mapping[str, bytes], words: Sequence[str]) -> Ran:
    """See `Engine.run`: what it prints on its standard output, or where that is empty, all of it."""
    program = path(component)
    with tempfile.TemporaryDirectory(prefix="swiftdeploy-") as folder:
        for name, content in files.items():
            file = Path(folder, name)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        try:
            said = subprocess.run(
                [program, *words],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                encoding="utf-8",
                errors="replace",
                check=False,
                timeout=RUN_SECONDS,
                cwd=folder,
                env={name: own for name in _INHERITED if (own := environ.of_caller(name)) is not None},
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise EngineError(f"{program} cannot be run: {error}", "invoke validate") from None
    return Ran(said.returncode, said.stdout or said.stderr, program)

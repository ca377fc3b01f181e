"""Starts a process that outlives us, and notes its start."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from swiftdeploy_tasks.engines.local import start_notes
from swiftdeploy_tasks.engines.local.processes import HOME, PORT, _forget_the_dead
from swiftdeploy_tasks.system import environ, signals

_NAMED = re.compile(r"(?<!\$)\$(?:(APP_PORT|APP_HOST)\b|\{(APP_PORT|APP_HOST)\})")


INHERITED = ("PATH", "HOME", "LANG", "TZ")


def expanded(words: Sequence[str], environment: Mapping[str, str]) -> list[str]:
    """Return the words with $APP_PORT and $APP_HOST, or ${APP_PORT} and ${APP_HOST}, filled in."""
    return [_NAMED.sub(lambda found: environment[found[1] or found[2]], word) for word in words]


def start(
    words: Sequence[str | bytes], *, environment: Mapping[str, str], folder: Path, log: Path
) -> subprocess.Popen[bytes]:
    """Start a process that outlives us, in a session of its own, printing into `log`; raises OSError.

    It is noted below the home that `environment` carries, so it is found from now on.
    """
    kept = {name: value for name in INHERITED if (value := environ.of_caller(name)) is not None}
    program = os.fsencode(sys.executable) if words[0] == "python" else words[0]
    home = Path(environment[HOME])
    _forget_the_dead(home)
    with log.open("wb") as out, signals.deferred():
        started = subprocess.Popen(
            [environ.encoded(word) if isinstance(word, str) else word for word in (program, *words[1:])],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env=environ.for_child({**kept, **environment}),
            start_new_session=True,
        )
        try:
            marks = {name: environment[name] for name in (*start_notes.MARKS, PORT) if name in environment}
            start_notes.note(home, started.pid, marks)
        except OSError:
            os.killpg(started.pid, signal.SIGKILL)
            started.wait()
            raise
    return started


def free_port() -> int:
    """Return a port of 127.0.0.1 on which nothing listens now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port

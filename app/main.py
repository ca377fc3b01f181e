"""The program: reads the environment, serves until a signal ends it, and chooses the exit code.

It does not start on a variable that has no valid value.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass

from http_server import Server
from service import Service

# Seconds for what is in flight; stopping must be over within 10.
GRACE = 8.0
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
MODES = ("stable", "canary")


@dataclass(frozen=True)
class Settings:
    """What to serve and where."""

    mode: str
    version: str
    port: int
    host: str


def read_settings(environment: Mapping[str, str]) -> Settings:
    """Settings from MODE, APP_VERSION, APP_PORT and APP_HOST; ValueError, in one sentence, on a bad one."""
    mode = environment.get("MODE", "stable")
    if mode not in MODES:
        raise ValueError(f"MODE is {mode!r} and must be stable or canary.")
    version = environment.get("APP_VERSION", "1.0.0")
    if not (1 <= len(version) <= 128 and version.isprintable()):
        raise ValueError(f"APP_VERSION is {version!r:.200} and must be 1 to 128 printable characters.")
    port = environment.get("APP_PORT", "3000")
    if not (port.isascii() and port.isdigit() and len(port) <= 5 and 1 <= int(port) <= 65535):
        raise ValueError(f"APP_PORT is {port!r:.200} and must be a whole number from 1 to 65535.")
    host = environment.get("APP_HOST", "0.0.0.0")  # noqa: S104
    if not host:
        raise ValueError("APP_HOST is empty and must be an address to listen on.")
    return Settings(mode, version, int(port), host)


def listen(settings: Settings) -> Server:
    """A server that listens already; ValueError, in one sentence, where it cannot."""
    service = Service(mode=settings.mode, version=settings.version)
    try:
        return Server((settings.host, settings.port), service)
    except (OSError, UnicodeError) as problem:
        where = f"APP_HOST {settings.host!r:.200} and APP_PORT {settings.port}"
        raise ValueError(f"Cannot listen on {where}: {problem}.") from None


def serve(server: Server) -> None:
    """Serve until a stop signal, which every thread has blocked; then finish what is in flight."""
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True).start()
    signal.sigwait(STOP_SIGNALS)
    server.stop(GRACE)


def main() -> int:
    """The exit code: 0 after a signal, 2 when the settings do not do."""
    # Blocked before the first thread starts, then waited for: PID 1 ignores what it has no handler for.
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    try:
        settings = read_settings(os.environ)
        server = listen(settings)
    except ValueError as problem:
        print(problem, file=sys.stderr)
        return 2
    print(f"serving {settings.mode} {settings.version} on {settings.host} port {settings.port}", flush=True)
    serve(server)
    print("stopped", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())

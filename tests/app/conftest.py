"""The app as it is shipped: a real process on a free port, waited for by condition."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from tests.leftovers import mark
from tests.ports import free_port

APP = Path(__file__).resolve().parents[2] / "app"
sys.path.insert(0, str(APP))

from http_server import Limits, Server  # noqa: E402
from service import Service  # noqa: E402

PATIENCE = 10.0


def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition, and fail when it does not come true."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "the condition did not come true"
        time.sleep(0.01)


@dataclass(frozen=True)
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes


class Wire:
    """A connection on which every byte is the test's own."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        self.file = self.socket.makefile("rb")

    def send(self, *lines: str, body: bytes = b"") -> None:
        self.socket.sendall("\r\n".join([*lines, "", ""]).encode("latin-1") + body)

    def reply(self, *, bare: bool = False) -> Reply:
        status = int(self.file.readline().split()[1])
        headers: dict[str, str] = {}
        while line := self.file.readline().strip().decode("latin-1"):
            name, _, value = line.partition(": ")
            assert name not in headers, f"{name} came twice"
            headers[name] = value
        length = 0 if bare or status == 100 else int(headers["Content-Length"])
        return Reply(status, headers, self.file.read(length))

    def ended(self) -> bool:
        """Whether the other side ends the connection without another byte."""
        return self.file.read(1) == b""

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()
        self.socket.close()


@dataclass(frozen=True)
class App:
    """A running app."""

    port: int
    process: subprocess.Popen[str]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def get(self, path: str = "/") -> requests.Response:
        return requests.get(self.url + path, timeout=PATIENCE)

    def chaos(self, body: bytes | str | dict[str, object]) -> requests.Response:
        if isinstance(body, dict):
            return requests.post(f"{self.url}/chaos", json=body, timeout=PATIENCE)
        return requests.post(f"{self.url}/chaos", data=body, timeout=PATIENCE)

    def wire(self) -> Wire:
        return Wire(self.port)


@contextmanager
def running(*, script: Path = APP / "main.py", **environment: str) -> Iterator[App]:
    port = free_port()
    environment = {"APP_PORT": str(port), "APP_HOST": "127.0.0.1", **environment}
    with subprocess.Popen(
        [sys.executable, "-B", str(script)],
        env={"PATH": os.environ["PATH"], **mark(), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline().startswith("serving"), "the app did not start"
            yield App(port, process)
        finally:
            process.kill()


@pytest.fixture(scope="package")
def stable() -> Iterator[App]:
    with running() as app:
        yield app


@pytest.fixture(scope="package")
def canary_process() -> Iterator[App]:
    with running(MODE="canary", APP_VERSION="2.1.0") as app:
        yield app


@pytest.fixture
def canary(canary_process: App) -> Iterator[App]:
    """A canary that every test finds without chaos."""
    yield canary_process
    canary_process.chaos({"mode": "recover"})


Serve = Callable[..., int]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Serve in this process, with limits of the test's own; gives the port."""
    with ExitStack() as stack:

        def start(*, mode: str = "canary", max_held: int = 8, limits: Limits) -> int:
            server = Server(("127.0.0.1", 0), Service(mode=mode, version="1", max_held=max_held), limits)
            threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
            stack.callback(server.stop, 5)
            port: int = server.server_address[1]
            return port

        yield start

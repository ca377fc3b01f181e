"""examples/express: a socket of socket.io lives on over an upgrade, and no request is lost."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from websockets.sync.client import ClientConnection, connect

from tests.e2e.project import Project, until
from tests.e2e.wire import HOST
from tests.examples import course
from tests.lab import require


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    npm = require("node")
    for copy in course.copy_of("express", tmp_path):
        subprocess.run([npm, "install", "--no-audit", "--no-fund", "--silent"], cwd=copy.root, check=True)
        yield copy


def test_it_takes_the_course_without_a_failed_request(project: Project) -> None:
    course.take(project)


def test_a_socket_lives_on_over_an_upgrade_and_new_ones_reach_the_new_release(project: Project) -> None:
    project.deploy()
    project.set(services__version="2.0.0")
    with course.load_on(project), _socket(project) as old:
        assert _said(old, "hello") == "1.0.0: hello"
        deploy = project.start("deploy")
        until(lambda: _takes_all(project, "2.0.0"), "2.0.0 has the traffic", seconds=60)
        assert _said(old, "still here") == "1.0.0: still here"
        with _socket(project) as new:
            assert _said(new, "hello") == "2.0.0: hello"
        old.close()
        deploy.end().ok()
    assert course.serves(project)[0] == "2.0.0"


@contextmanager
def _socket(project: Project) -> Iterator[ClientConnection]:
    """Open a socket as the client of socket.io does, in its protocol."""
    with connect(f"ws://{HOST}:{project.port}/socket.io/?EIO=4&transport=websocket") as socket:
        assert str(socket.recv(timeout=10)).startswith("0{")
        socket.send("40")
        assert str(socket.recv(timeout=10)).startswith("40{")
        yield socket


def _said(socket: ClientConnection, words: str) -> str:
    """Return what the app answers to `say`, past the pings."""
    socket.send(f'42["say","{words}"]')
    while (packet := str(socket.recv(timeout=10))) == "2":
        socket.send("3")
    return packet.removeprefix('42["said","').removesuffix('"]')


def _takes_all(project: Project, version: str) -> bool:
    """Return whether ten answers in a row are of a version."""
    return all(project.get().json()["version"] == version for _ in range(10))

"""examples/fastapi: a WebSocket and an event stream live on over an upgrade, and no request is lost."""

from __future__ import annotations

import http.client
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from websockets.sync.client import connect

from tests.e2e.project import Project, until
from tests.e2e.wire import HOST
from tests.examples import course


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    yield from course.copy_of("fastapi", tmp_path)


def test_it_takes_the_course_without_a_failed_request(project: Project) -> None:
    course.take(project)


def test_it_takes_the_course_in_containers(tmp_path: Path) -> None:
    for project in course.in_containers("fastapi", tmp_path):
        course.take(project)


def test_a_websocket_lives_on_over_an_upgrade_and_answers(project: Project) -> None:
    project.deploy()
    project.set(services__version="2.0.0")
    with course.load_on(project), connect(f"ws://{HOST}:{project.port}/ws") as old:
        deploy = project.start("deploy")
        until(lambda: _takes_all(project, "2.0.0"), "2.0.0 has the traffic", seconds=60)
        old.send("still here")
        assert old.recv(timeout=10) == "1.0.0: still here"
        with connect(f"ws://{HOST}:{project.port}/ws") as new:
            new.send("hello")
            assert new.recv(timeout=10) == "2.0.0: hello"
        old.close()
        deploy.end().ok()
    assert course.serves(project)[0] == "2.0.0"


def test_events_arrive_one_by_one_and_go_on_over_an_upgrade(project: Project) -> None:
    project.deploy()
    project.set(services__version="2.0.0")
    connection = http.client.HTTPConnection(HOST, project.port, timeout=15)
    connection.request("GET", "/events")
    events = _events(connection.getresponse())
    came = [time.monotonic() for number in range(1, 5) if next(events) == f"1.0.0 {number}"]
    # The app sends one each second.
    assert (len(came), came[-1] - came[0] > 1) == (4, True)
    deploy = project.start("deploy")
    until(lambda: next(events).startswith("1.0.0 ") and _takes_all(project, "2.0.0"), "2.0.0", seconds=60)
    assert next(events).startswith("1.0.0 ")
    connection.close()
    deploy.end().ok()


def _events(stream: http.client.HTTPResponse) -> Iterator[str]:
    """Yield the data of each event when it comes."""
    while line := stream.readline():
        if line.startswith(b"data: "):
            yield line.decode().removeprefix("data: ").rstrip()


def _takes_all(project: Project, version: str) -> bool:
    """Return whether ten answers in a row are of a version."""
    return all(project.get().json()["version"] == version for _ in range(10))

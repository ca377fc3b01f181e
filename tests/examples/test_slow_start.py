"""examples/slow-start: a slow start costs no request, and a long one is answered whole over an upgrade."""

from __future__ import annotations

import http.client
import json
import select
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.project import Project, until
from tests.e2e.wire import HOST
from tests.examples import course
from tests.lab import IMAGES


@pytest.fixture
def copied(tmp_path: Path) -> Iterator[Callable[..., Project]]:
    """Make a project of the example, whose reports take so many seconds."""
    with ExitStack() as stack:

        def with_reports_of(seconds: int, engine: str, **changes: Any) -> Project:
            copy = stack.enter_context(
                contextmanager(course.copy_of)(
                    "slow-start",
                    tmp_path,
                    engine=engine,
                    nginx__image=IMAGES["nginx"],
                    opa__image=IMAGES["opa"],
                    services__build={"context": ".", "args": {"BASE_IMAGE": IMAGES["base"]}},
                    services__env={"START_SECONDS": "4", "REPORT_SECONDS": str(seconds)},
                    **changes,
                )
            )
            copy.set(services__image=f"{copy.name}-app:latest")
            return copy

        yield with_reports_of


def test_it_takes_the_course_without_a_failed_request(copied: Callable[..., Project]) -> None:
    course.take(copied(8, "local"))


@pytest.mark.parametrize("engine", ["local", "docker"])
def test_a_report_that_began_before_an_upgrade_is_answered_whole_after_it(
    copied: Callable[..., Project], engine: str
) -> None:
    project = copied(30, engine, rollout__steps=[100])
    project.deploy()
    project.set(services__version="2.0.0")
    connection = http.client.HTTPConnection(HOST, project.port, timeout=60)
    connection.request("GET", "/report")
    with course.load_on(project):
        deploy = project.start("deploy")
        until(lambda: _takes_all(project, "2.0.0"), "2.0.0 has the traffic", seconds=60)
        assert not select.select([connection.sock], [], [], 0)[0], "the report is not in progress any more"
        report = connection.getresponse()
        assert (report.status, json.loads(report.read())) == (200, {"version": "1.0.0", "report": "whole"})
        deploy.end().ok()
    connection.close()
    assert course.serves(project)[0] == "2.0.0"


def _takes_all(project: Project, version: str) -> bool:
    """Return whether ten answers in a row are of a version."""
    return all(project.get().json()["version"] == version for _ in range(10))

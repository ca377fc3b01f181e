"""On a host that is busy a verb is slow, and not wrong."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from tests.e2e import apps
from tests.e2e.project import Project

AT_MOST = "120"
"""Seconds after which what keeps the cores busy ends by itself."""


@contextmanager
def all_cores_busy() -> Iterator[None]:
    """Four processes for each core that do nothing else."""
    spin = "import sys, time; end = time.monotonic() + int(sys.argv[1])\nwhile time.monotonic() < end: pass"
    with ExitStack() as ended:
        for _ in range(4 * (os.cpu_count() or 1)):
            process = ended.enter_context(subprocess.Popen([sys.executable, "-c", spin, AT_MOST]))
            ended.callback(process.kill)
        yield


def test_a_rollback_while_all_cores_are_busy_stays(new_project: Callable[..., Project]) -> None:
    project = new_project("local")
    project.deploy()
    project.set(services__version="2.0.0")
    project.deploy()
    with all_cores_busy():
        ended = project.run("rollback", "--json")
    assert ended.code == 0, ended.said
    assert ended.document()["version"] == "1.0.0"
    assert project.get("/").json()["version"] == "1.0.0"


def test_a_rollback_to_a_release_that_answers_late_stays(new_project: Callable[..., Project]) -> None:
    project = new_project("local")
    slowness = project.root.parent / "slowness"
    project.use_app(apps.SLOW)
    project.manifest["services"]["metrics"] = None
    project.set(services__env={"SLOWNESS": str(slowness)})
    project.deploy()
    project.set(services__version="2.0.0")
    project.deploy()
    slowness.write_text("3")
    ended = project.run("rollback", "--json")
    slowness.write_text("0")
    assert ended.code == 0, ended.said
    assert ended.document()["version"] == "1.0.0"
    assert project.get("/").json()["version"] == "1.0.0"

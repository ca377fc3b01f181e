"""On a host that is busy a verb is slow, and not wrong."""

from __future__ import annotations

from collections.abc import Callable

from tests.e2e import apps
from tests.e2e.project import Project


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

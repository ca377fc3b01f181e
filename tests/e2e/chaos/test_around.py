"""What happens around a verb: parts that die under it, and a state folder that is gone."""

from __future__ import annotations

import shutil
from collections.abc import Callable

import pytest

from tests.e2e.project import Project, until
from tests.e2e.test_records import verified


def serves(project: Project, version: str) -> None:
    """The version answers, alone, and there is nothing left to do."""
    assert project.get().all("X-Deployed-By") == ["swiftdeploy"]
    assert f'"version": "{version}"' in project.get().body.decode()
    assert len([part for part in project.running() if part.startswith("app-")]) == 1
    project.run("plan", "--check").ok()


@pytest.mark.parametrize(
    ("engine_name", "part"), [("docker", "nginx"), ("local", "app-blue"), ("local", "app-green")]
)
def test_a_part_that_dies_while_a_release_takes_over_is_put_right_by_the_next_deploy(
    new_project: Callable[..., Project], engine_name: str, part: str
) -> None:
    project = new_project(engine_name)
    project.deploy()
    project.set(services__version="2.0.0", services__health={"interval": 0.5, "timeout": 10})
    started = project.start("deploy")
    until(lambda: {"nginx", "app-blue", "app-green"} <= set(project.running()), "both slots are there")
    project.kill(part)
    assert started.end().code in {0, 5, 6}
    project.deploy()
    serves(project, "2.0.0")


def test_a_lost_state_folder_is_made_anew_by_deploy(project: Project) -> None:
    project.deploy()
    shutil.rmtree(project.state)
    status = project.run("status", "--json").ok().document()
    assert status["version"] == "1.0.0" or status["drift"]
    ended = project.deploy()
    if project.engine == "docker":
        assert "connections are cut" in ended.out
    serves(project, "1.0.0")
    assert project.run("rollback").code == 2


def test_what_was_done_and_put_right_is_on_record(project: Project) -> None:
    project.deploy()
    project.stop("app-blue")
    project.deploy()
    serves(project, "1.0.0")
    rows = [row for row in verified(project) if row["event"] == "drift"]
    assert [row["outcome"] for row in rows] == ["found", "mended"]
    assert (rows[0]["target"], rows[0]["expected"], rows[1]["targets"]) == (
        "app-blue",
        "running",
        ["app-blue"],
    )

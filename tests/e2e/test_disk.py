"""A full or read-only disk, and a manifest that is a link: one clear sentence, and nothing is torn."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from swiftdeploy_tasks.history.store import History
from tests.disks import disk_of_its_own, fill, read_only
from tests.e2e.project import Ended, Project, until
from tests.e2e.rollover.course import CANARY


@pytest.fixture
def on_its_own_disk(new_project: Callable[..., Project]) -> Iterator[Project]:
    """A project that serves, whose state and history lie on a small disk."""
    project = new_project("local", policy__infrastructure__min_disk_free_gb=0)
    project.environment["INVOKE_SWIFTDEPLOY_STATE"] = ".swiftdeploy"
    with disk_of_its_own(project.state):
        project.deploy()
        try:
            yield project
        finally:
            project.run("teardown")


@pytest.fixture
def with_two_releases(engine: str, new_project: Callable[..., Project]) -> Iterator[Project]:
    """Two confirmed releases, and a rollout of two steps; the state and the history lie on a small disk."""
    project = new_project(
        engine,
        policy__infrastructure__min_disk_free_gb=0,
        policy__canary=CANARY,
        rollout={"steps": [50, 100], "interval": 4, "min_requests": 0},
    )
    project.environment["INVOKE_SWIFTDEPLOY_STATE"] = ".swiftdeploy"
    with disk_of_its_own(project.state):
        try:
            project.deploy()
            project.set(services__version="2.0.0", rollout__steps=[100])
            project.deploy()
            project.set(rollout__steps=[50, 100])
            yield project
        finally:
            project.run("teardown")


def refused(ended: Ended, *codes: int) -> None:
    assert ended.code in codes, ended.said
    told = [line for line in ended.err.splitlines() if "(exit " in line]
    assert len(told) == 1, ended.said


def whole(project: Project) -> None:
    assert not list(project.state.rglob("*.swiftdeploy-new"))
    assert not (project.state / "target.json").exists()
    assert History(project.state / "history.jsonl", project.state).verify().ok


def serves(project: Project, version: str) -> None:
    assert project.get("/healthz").json()["version"] == version


def shares(project: Project) -> str:
    """What nginx says of the shares that it has in force."""
    return project.operator("/generation").body.decode()


def test_on_a_full_disk_deploy_stops_before_anything_moves_and_goes_through_when_there_is_room(
    on_its_own_disk: Project,
) -> None:
    project = on_its_own_disk
    running = project.running()
    ballast = fill(project.state)
    project.set(services__version="2.0.0")
    refused(project.run("deploy"), 2, 7)
    assert project.running() == running
    serves(project, "1.0.0")
    ballast.unlink()
    project.deploy()
    serves(project, "2.0.0")
    whole(project)


def test_a_disk_that_fills_up_meanwhile_leaves_what_serves_alone(on_its_own_disk: Project) -> None:
    """There is room for the history, and none for the copy that the release would keep."""
    project = on_its_own_disk
    (project.root / "app" / "asset").write_bytes(os.urandom(8_000_000))
    refused(project.run("deploy"), 2, 7)
    assert set(project.running()) == {"nginx", "app-blue"}
    serves(project, "1.0.0")
    (project.root / "app" / "asset").unlink()
    project.set(services__version="2.0.0")
    project.deploy()
    serves(project, "2.0.0")
    whole(project)


def test_a_disk_that_fills_up_in_a_rollout_stops_neither_the_undo_nor_rollback_nor_teardown(
    with_two_releases: Project,
) -> None:
    project = with_two_releases
    promote = project.start("promote")
    until(lambda: "blue=50,green=50" in shares(project), "half of the traffic moved", seconds=60)
    fill(project.state)
    ended = promote.end()
    refused(ended, 2, 5, 7)
    assert "undo failed" not in ended.said
    assert "green=100" in shares(project)
    serves(project, "2.0.0")
    fill(project.state)
    project.run("rollback").ok()
    serves(project, "1.0.0")
    fill(project.state)
    project.run("teardown").ok()
    assert project.left() == []


def test_on_a_full_disk_teardown_goes_on(on_its_own_disk: Project) -> None:
    ballast = fill(on_its_own_disk.state)
    on_its_own_disk.run("teardown").ok()
    assert on_its_own_disk.left() == []
    ballast.unlink()


def test_a_read_only_state_is_one_sentence_and_what_serves_is_left_alone(on_its_own_disk: Project) -> None:
    project = on_its_own_disk
    running = project.running()
    project.set(services__version="2.0.0")
    with read_only(project.state):
        refused(project.run("deploy"), 2, 7)
    assert project.running() == running
    project.deploy()
    serves(project, "2.0.0")
    whole(project)


@pytest.mark.parametrize("verb", ["validate", "deploy", "status", "teardown"])
def test_a_state_folder_that_is_a_file_is_one_sentence_and_the_file_stays(
    new_project: Callable[..., Project], verb: str
) -> None:
    project = new_project("local")
    project.state.write_text("mine")
    ended = project.run(verb)
    refused(ended, 2)
    assert f"the state folder {project.state} is a file" in ended.err
    assert project.state.read_text() == "mine"
    project.state.unlink()


def test_a_manifest_that_is_a_link_stays_one_and_keeps_its_mode_over_a_promote(
    new_project: Callable[..., Project], tmp_path: Path
) -> None:
    project = new_project("local", policy__canary=CANARY)
    real = tmp_path / "kept" / "service.yaml"
    real.parent.mkdir()
    (project.root / "manifest.yaml").rename(real)
    real.chmod(0o640)
    owner = (1234, 2345) if os.geteuid() == 0 else (os.geteuid(), os.getegid())
    os.chown(real, *owner)
    (project.root / "manifest.yaml").symlink_to(real)
    project.deploy()
    project.run("promote").ok()
    assert (project.root / "manifest.yaml").readlink() == real
    now = real.stat()
    assert (stat.S_IMODE(now.st_mode), (now.st_uid, now.st_gid)) == (0o640, owner)
    assert "  mode: canary" in real.read_text().splitlines()
    assert sorted(path.name for path in real.parent.iterdir()) == ["service.yaml"]

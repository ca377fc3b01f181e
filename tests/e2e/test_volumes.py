"""Volumes of the app: their data outlives every release, with and without overlap."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.apps import EXITS, WRITES
from tests.e2e.project import Project, docker, make, used
from tests.e2e.rollover.load import Load

KEEPER = WRITES.replace('os.environ["FOLDER"]', 'os.environ["APP_VOLUME_DATA"]')
VOLUMES = [{"name": "data", "path": "/data"}]


@pytest.fixture
def shop(engine: str, tmp_path: Path) -> Iterator[Project]:
    """A service with a volume, whose releases must not overlap; its data goes at the end of the test."""
    changes = {"services__volumes": VOLUMES, "rollout__overlap": False, "services__metrics": {"path": None}}
    project = make(tmp_path, engine, **changes)
    project.use_app(KEEPER)
    yield from without_data(project)


def without_data(project: Project) -> Iterator[Project]:
    """Yield the project, and remove its volumes before its teardown is checked."""

    def use() -> Iterator[Project]:
        yield project
        project.run("teardown", "--volumes", "--yes").ok()

    for _ in used(project):
        yield from use()


def rows(project: Project) -> list[str]:
    return project.get("/rows").body.decode().split()


def upgrade(project: Project, version: str) -> None:
    project.set(services__version=version)
    project.deploy()


def test_only_teardown_with_volumes_removes_the_data(shop: Project) -> None:
    shop.deploy()
    shop.get("/write/first")
    upgrade(shop, "2.0.0")
    assert rows(shop) == ["first"]
    shop.run("promote").ok()
    shop.get("/write/second")
    shop.run("rollback").ok()
    assert rows(shop) == ["first", "second"]
    for words in ((), ("--clean",)):
        ended = shop.run("teardown", *words).ok()
        assert "is kept; swiftdeploy teardown --volumes removes it" in ended.said
        shop.deploy()
        assert rows(shop) == ["first", "second"]
    shop.run("teardown", "--volumes", "--yes").ok()
    shop.deploy()
    assert rows(shop) == []


def test_the_volumes_are_removed_only_after_the_project_s_name_is_typed(shop: Project) -> None:
    shop.deploy()
    shop.get("/write/first")
    before = shop.running()
    ended = shop.run("teardown", "--volumes")
    assert ended.code == 1
    assert f"type {shop.name}, or: " in ended.said
    assert (shop.running(), rows(shop)) == (before, ["first"])


def test_a_first_deploy_that_fails_leaves_the_data(shop: Project) -> None:
    shop.deploy()
    shop.get("/write/first")
    shop.run("teardown").ok()
    shop.use_app(EXITS)
    assert shop.run("deploy").code == 6
    shop.use_app(KEEPER)
    shop.deploy()
    assert rows(shop) == ["first"]


def test_the_old_release_stops_before_the_new_one_starts_and_the_gap_is_printed(shop: Project) -> None:
    shop.deploy()
    shop.set(services__version="2.0.0")
    assert "requests get 503 with Retry-After" in shop.run("plan").ok().said
    with Load(shop.port, posts=(), fine=frozenset({503})) as load:
        ended = shop.run("deploy", "--json").ok()
    steps = [f"{r['action']} {r['target']}" for r in shop.history() if r["event"] == "step"]
    assert steps.index("remove app-blue") < steps.index("start app-green")
    assert (load.failed, load.seen["503"] > 0) == ([], True)
    gap = ended.document()["spent"]["gap"]
    assert gap > 0
    assert f"requests got 503 for {gap:.1f} s" in ended.err


def test_the_old_release_starts_again_where_the_new_one_fails_in_the_gap(shop: Project) -> None:
    shop.deploy()
    shop.get("/write/first")
    shop.use_app(EXITS)
    shop.set(services__version="2.0.0")
    ended = shop.run("deploy")
    assert ended.code == 6, ended.said
    assert "version 1.0.0 (stable) starts again" in ended.said
    assert (shop.get("/").json()["version"], rows(shop)) == ("1.0.0", ["first"])
    shop.use_app(KEEPER)
    upgrade(shop, "3.0.0")
    assert (shop.get("/").json()["version"], rows(shop)) == ("3.0.0", ["first"])


def test_a_volume_lost_with_the_state_folder_is_found_again(new_project: Callable[..., Project]) -> None:
    project = new_project(
        "docker", services__volumes=VOLUMES, rollout__overlap=True, services__metrics={"path": None}
    )
    project.use_app(KEEPER)
    project.deploy()
    project.get("/write/first")
    shutil.rmtree(project.state)
    project.deploy()
    assert rows(project) == ["first"]
    volume = f"{project.name}-data"
    assert volume in docker("volume", "ls", "-q").split()
    project.run("teardown", "--volumes", "--yes").ok()
    assert volume not in docker("volume", "ls", "-q").split()


def test_overlapping_releases_share_the_volume_and_lose_no_request(
    new_project: Callable[..., Project],
) -> None:
    project = new_project(
        "local", services__volumes=VOLUMES, rollout__overlap=True, services__metrics={"path": None}
    )
    project.use_app(KEEPER)
    project.deploy()
    project.get("/write/first")
    with Load(project.port, posts=()) as load:
        upgrade(project, "2.0.0")
    assert (load.failed, rows(project)) == ([], ["first"])

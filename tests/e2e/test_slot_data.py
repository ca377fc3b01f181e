"""Data that an app writes into its slot: announced, and removed only with --discard-volumes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from swiftdeploy_tasks.engines.docker import image_volumes
from tests.e2e.apps import WRITES
from tests.e2e.project import Ended, Project, docker, until

DOCKERFILE = """
ARG BASE_IMAGE
FROM ${BASE_IMAGE}
RUN mkdir /data && echo seed >/data/seed && chown -R 10001:10001 /data
VOLUME /data
WORKDIR /srv
COPY app app
CMD ["python3", "app/main.py"]
"""
NOTICE = "the image declares the volume /data: each slot has its own, and the content goes with the slot"


@pytest.fixture
def shop(new_project: Callable[..., Project]) -> Project:
    """A service whose image declares a volume."""
    project = new_project("docker", services__env={"FOLDER": "/data"}, services__metrics={"path": None})
    (project.root / "Dockerfile").write_text(DOCKERFILE)
    project.use_app(WRITES)
    return project


@pytest.fixture
def kept() -> Iterator[Callable[[Ended], str]]:
    """Return the volume that a verb says it kept; it goes after the test."""
    found: list[str] = []

    def of(ended: Ended) -> str:
        said = re.search(r"kept as the volume ([0-9a-f]{64})", ended.said)
        assert said, ended.said
        found.append(said[1])
        return said[1]

    yield of
    for volume in found:
        docker("volume", "rm", volume)


def _volume(project: Project, part: str) -> str:
    """The name of the volume that the engine made for the part."""
    (name,) = [m["Name"] for m in project.inspect(part)["Mounts"] if m["Destination"] == "/data"]
    return str(name)


def _is_there(volume: str) -> bool:
    return volume in docker("volume", "ls", "-q").split()


def _content(volume: str, image: str) -> str:
    return docker("run", "--rm", "-v", f"{volume}:/v:ro", "--entrypoint", "cat", image, "/v/rows")


def test_the_volumes_of_an_image_are_said_by_a_first_deploy_validate_and_plan(shop: Project) -> None:
    for verb in ("deploy", "validate", "plan"):
        assert NOTICE in shop.run(verb).ok().said


def test_an_upgrade_that_would_lose_data_is_refused_before_anything_moves(shop: Project) -> None:
    shop.deploy()
    assert shop.get("/write/row-1").status == 200
    shop.set(services__version="2.0.0")
    before = shop.running()
    ended = shop.run("deploy")
    assert ended.code == 2, ended.said
    assert "app-blue holds data at /data (for example rows)" in ended.said
    assert "swiftdeploy deploy --discard-volumes" in ended.said
    assert shop.running() == before
    assert "deploy would be refused without --discard-volumes: app-blue holds" in shop.run("plan").ok().said
    volume = _volume(shop, "app-blue")
    shop.run("deploy", "--discard-volumes").ok()
    assert shop.get("/").json()["version"] == "2.0.0"
    assert not _is_there(volume)
    assert shop.get("/rows").body == b""


def test_a_promote_that_would_lose_data_is_refused_too(shop: Project) -> None:
    shop.deploy()
    shop.get("/write/row-1")
    before = shop.running()
    ended = shop.run("promote")
    assert ended.code == 2, ended.said
    assert "swiftdeploy promote --discard-volumes" in ended.said
    assert shop.running() == before
    shop.run("promote", "--discard-volumes").ok()


def test_without_data_nothing_is_refused_and_no_volume_stays(shop: Project) -> None:
    shop.deploy()
    volume = _volume(shop, "app-blue")
    shop.set(services__version="2.0.0")
    shop.deploy()
    assert not _is_there(volume)


def test_a_rollback_and_a_teardown_keep_the_data_and_say_where(
    shop: Project, kept: Callable[[Ended], str]
) -> None:
    image = shop.manifest["services"]["image"]
    shop.deploy()
    shop.set(services__version="2.0.0")
    shop.deploy()
    shop.get("/write/row-2")
    volume = kept(shop.run("rollback").ok())
    assert _content(volume, image) == "row-2\n"
    shop.get("/write/row-3")
    volume = kept(shop.run("teardown").ok())
    assert _content(volume, image) == "row-3\n"


def test_a_first_deploy_that_never_served_leaves_no_volume(shop: Project) -> None:
    shop.use_app(WRITES.replace('said = {"mode"', 'return 500, "text/plain", b"no"\n    said = {"mode"'))
    shop.set(
        services__env={"FOLDER": "/data", "AT_ONCE": "1"}, services__health={"interval": 0.1, "timeout": 20}
    )
    started = shop.start("deploy")
    volumes: list[str] = []

    def has_a_volume() -> bool:
        if f"{shop.name}-app-blue" in shop.containers():
            volumes[:] = [_volume(shop, "app-blue")]
        return bool(volumes)

    until(has_a_volume, "app-blue has its volume", seconds=60)
    ended = started.end()
    assert ended.code == 6, ended.said
    assert not _is_there(volumes[0])
    assert shop.left() == []


def test_on_local_files_that_the_app_wrote_are_said_and_survive(new_project: Callable[..., Project]) -> None:
    project = new_project("local", services__env={"FOLDER": "app"}, services__metrics={"path": None})
    project.use_app(WRITES)
    (project.root / "app" / "notes").write_text("shipped\n")
    project.deploy()
    project.get("/write/row-1")
    project.set(services__version="2.0.0")
    ended = project.run("deploy").ok()
    assert "app-blue wrote 1 file (app/rows) into its copy of the source" in ended.said
    copy = Path(ended.said.partition("which no other release gets: ")[2].splitlines()[0])
    assert (copy / "app" / "rows").read_text() == "row-1\n"
    release = copy.parent.name
    cleaned = project.run("teardown", "--clean").ok()
    kept = project.state / "data" / release
    assert str(kept) in cleaned.said
    assert (kept / "app" / "rows").read_text() == "row-1\n"
    assert not copy.exists()


def test_on_local_a_copy_that_the_app_changed_keeps_what_it_held(new_project: Callable[..., Project]) -> None:
    project = new_project("local", services__env={"FOLDER": "app"}, services__metrics={"path": None})
    project.use_app(WRITES)
    (project.root / "app" / "rows").write_text("shipped\n")
    project.deploy()
    project.get("/write/row-1")
    ended = project.run("deploy", "--json").ok()
    release = json.loads(ended.out)["release"]
    kept = project.state / "data" / release / "app" / "rows"
    assert str(kept.parents[1]) in ended.said
    assert kept.read_text() == "shipped\nrow-1\n"


def test_a_volume_that_cannot_be_read_counts_as_one_with_data(tmp_path: Path) -> None:
    one = SimpleNamespace(
        name="shop-app-blue",
        attrs={"Image": "sha256:1", "Mounts": [{"Type": "volume", "Name": "f" * 64, "Destination": "/data"}]},
        get_archive=lambda path: (iter([b"no tar"]), {}),
    )
    (held,) = image_volumes.held(cast(Any, one), tmp_path)
    assert str(held) == "/data (it cannot be read)"

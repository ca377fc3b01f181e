"""examples/own-image: its own user, read-only but for its own folders, and every note is kept."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.project import Project, docker
from tests.e2e.rollover.load import Load
from tests.examples import course
from tests.lab import IMAGES


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    images = {"nginx__image": IMAGES["nginx"], "opa__image": IMAGES["opa"]}
    build = {"context": ".", "args": {"BASE_IMAGE": IMAGES["base"]}}
    for copy in course.copy_of("own-image", tmp_path, engine="docker", services__build=build, **images):
        copy.set(services__image=f"{copy.name}-app:latest")
        yield copy


def test_it_takes_the_course_and_every_note_that_was_accepted_is_kept(project: Project) -> None:
    project.deploy()
    assert project.get().json() == {"version": "1.0.0", "user": "notes", "notes": 0}
    with Load(project.port, posts=tuple(range(10))) as load:
        project.set(services__version="2.0.0")
        project.deploy()
        project.run("promote", "canary").ok()
        assert course.serves(project) == ("2.0.0", "canary")
        project.run("rollback").ok()
        assert course.serves(project) == ("2.0.0", "stable")
    assert load.failed == []
    assert set(load.seen) == {"200"} and load.answered > 50, load.seen
    project.run("teardown").ok()
    project.deploy()
    assert project.get().json()["notes"] == load.answered
    project.run("teardown", "--volumes", "--yes").ok()
    assert project.left() == []


def test_it_writes_to_its_folders_alone(project: Project) -> None:
    project.deploy()
    folders = ["/tmp", "/run/notes", "/var/cache/notes", "/var/lib/notes", "/opt/notes", "/run"]
    tried = " ".join(f"touch {folder}/probe 2>/dev/null && echo {folder};" for folder in folders)
    assert docker("exec", f"{project.name}-app-blue", "sh", "-c", tried + "true").split() == folders[:4]
    project.run("teardown", "--volumes", "--yes").ok()

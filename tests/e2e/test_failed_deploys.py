"""A deploy that fails says what failed and why, and leaves what was there before, be it nothing."""

from __future__ import annotations

import socket
from collections.abc import Callable

import pytest

from tests.e2e import apps
from tests.e2e.project import Ended, Project


def failed(ended: Ended, code: int, *words: str) -> None:
    """The verb ended with `code`, named each of `words` and the next command."""
    assert ended.code == code, ended.said
    assert "\nnext: " in ended.err
    assert not [word for word in words if word not in ended.said], ended.said


UNFIT = {
    "exits": (apps.EXITS, ("app-blue", "died", "no database at db.example.org")),
    "mute": (apps.MUTE, ("app-blue", "3 s", "listening and saying nothing")),
    "answers 500": (apps.SICK, ("app-blue", "/healthz answers 500", "answered /healthz")),
    "says another mode": (apps.WRONG_MODE, ("app-blue", "mode 'canary'", "'stable'")),
}
CASES = [("local", kind) for kind in UNFIT] + [("docker", "exits"), ("docker", "mute")]


@pytest.mark.parametrize(("engine", "kind"), CASES)
def test_a_first_deploy_of_an_unfit_app_leaves_nothing(
    new_project: Callable[..., Project], engine: str, kind: str
) -> None:
    project = new_project(engine, services__health={"timeout": 3, "interval": 0.2})
    source, words = UNFIT[kind]
    project.use_app(source)
    failed(project.run("deploy"), 6, *words)
    assert project.left() == []


def test_a_failed_second_deploy_keeps_the_old_release_serving(project: Project) -> None:
    project.deploy()
    before = project.running()
    project.use_app(apps.EXITS)
    project.set(services__version="2.0.0")
    failed(project.run("deploy"), 6, "app-green", "no database at db.example.org")
    assert project.get("/").json()["version"] == "1.0.0"
    assert project.running() == before
    (way_back,) = [record for record in project.history() if record["event"] == "rolled_back"]
    assert way_back["had_traffic"] is False


def test_a_port_that_is_taken_is_found_before_anything_moves(project: Project) -> None:
    with socket.create_server(("127.0.0.1", project.port)):
        ended = project.run("deploy")
        failed(ended, 2, f"public port {project.port}")
        assert project.left() == []


def test_a_port_that_is_taken_after_the_checks_leaves_nothing(project: Project) -> None:
    """A stranger takes the public port when validate has looked and nginx has not started."""
    started = project.start("deploy")
    assert started.process.stdout is not None
    read = ""
    while "policy-check" not in read:
        line = started.process.stdout.readline()
        assert line, f"deploy ended early: {read}"
        read += line
    with socket.create_server(("", project.port)):
        ended = started.end()
    assert ended.code == 5, read + ended.said
    assert "nginx" in ended.err
    assert "\nnext: " in ended.err
    assert project.left() == []


def test_a_build_that_fails_shows_its_last_lines_and_starts_nothing(
    new_project: Callable[..., Project],
) -> None:
    project = new_project("docker")
    with (project.root / "Dockerfile").open("a") as file:
        file.write('USER 0\nRUN echo "the compiler says no" && exit 7\n')
    failed(project.run("deploy"), 5, "cannot be built", "the compiler says no")
    assert project.left() == []


@pytest.mark.parametrize("key", ["services", "nginx"])
def test_an_image_that_cannot_be_pulled_is_named_and_nothing_starts(
    new_project: Callable[..., Project], key: str
) -> None:
    image = "127.0.0.1:9/nobody/absent:1.0"
    project = new_project("docker", **{f"{key}__image": image})
    if key == "services":
        project.set(services__build=None)
    failed(project.run("deploy"), 5, image, "cannot be pulled")
    assert project.left() == []

"""Accidents in the middle of a change: none of them may cost the service, and the next verb ends them."""

from __future__ import annotations

import http.client
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tests.e2e.project import Project, docker, make, until, used
from tests.e2e.rollover import actor
from tests.e2e.rollover.course import CANARY, see, under_load
from tests.e2e.wire import HOST, status
from tests.lab import require

HELD = {"steps": [90, 100], "interval": 60, "min_requests": 5}


def generation(project: Project) -> str:
    return project.operator("/generation").body.decode()


def cut_off(project: Project, *words: str, when: str) -> None:
    """Start a verb, and kill it as soon as this traffic is in force."""
    started = project.start(*words)
    try:
        until(lambda: when in generation(project), f"the traffic is {when}", seconds=40)
    finally:
        started.process.kill()
        ended = started.end()
    assert ended.code == -signal.SIGKILL, ended.said


@contextmanager
def idle_connection(project: Project) -> Iterator[None]:
    """Keep nginx from ending its old workers, and so the old slot from being drained."""
    connection = http.client.HTTPConnection(HOST, project.port, timeout=10)
    connection.request("GET", "/")
    connection.getresponse().read()
    yield
    connection.close()


def test_a_promote_that_was_cut_off_at_a_split_goes_on_to_its_own_end(
    new_project: Callable[..., Project],
) -> None:
    project = new_project("local", policy__canary=CANARY, rollout=HELD)
    project.deploy()
    with idle_connection(project):
        cut_off(project, "promote", when="blue=10,green=90")
    project.set(rollout={"steps": [100]})
    project.run("promote").ok()
    assert see(project).answer == ("1.0.0", "canary", ("canary",))
    assert "  mode: canary" in (project.root / "manifest.yaml").read_text().splitlines()


@pytest.mark.parametrize("verb", ["deploy", "rollback"])
def test_rollback_goes_one_back_from_what_a_cut_off_verb_had_put_in_force(
    new_project: Callable[..., Project], verb: str
) -> None:
    """After a deploy that is the release before it; a rollback has gone back already."""
    project = new_project("local", policy__canary=CANARY)
    for version in ("1.0.0", "2.0.0", "3.0.0"):
        if version == "3.0.0" and verb == "deploy":
            break
        project.set(services__version=version)
        project.deploy()
    project.set(services__version="3.0.0")
    was = "blue" if "blue=100" in generation(project) else "green"
    then = "blue=0,green=100" if was == "blue" else "blue=100,green=0"
    with idle_connection(project):
        cut_off(project, verb, when=then)
    project.run("rollback").ok()
    assert see(project).answer[0] == "2.0.0"
    rows = project.run("rollback", "--list", "--json").ok().document()["releases"]
    assert [row["version"] for row in rows if not row["rolled_back"]] == ["1.0.0", "2.0.0"]


def test_a_slot_left_over_from_an_earlier_run_is_put_aside(new_project: Callable[..., Project]) -> None:
    """A deploy is killed when its new slot is there and has no traffic yet."""
    project = new_project("local")
    project.use_app(actor.PROGRAM)
    project.deploy()
    project.set(services__version="2.0.0", services__health={"interval": 5, "timeout": 60})
    started = project.start("deploy")
    until(lambda: status(project.operator_port, "/slots/green/healthz") == 200, "it answers", seconds=40)
    started.process.kill()
    started.end()
    project.set(services__version="3.0.0", services__health={"interval": 0.2, "timeout": 20})
    course = under_load(project, "deploy").went()
    assert course.after.answer[0] == "3.0.0"
    assert set(project.running()) == {"nginx", f"app-{course.document['slot']}"}


def test_an_app_that_ignores_the_request_to_stop_is_killed_without_a_long_wait(
    new_project: Callable[..., Project],
) -> None:
    project = new_project("local", services__env={"FAULT": "deaf"})
    project.use_app(actor.PROGRAM)
    project.deploy()
    deaf = project.running()["app-blue"]
    project.set(services__env={})
    course = under_load(project, "deploy").went()
    assert deaf not in project.running().values()
    assert course.document["spent"]["switch"] < 10


@pytest.fixture(scope="module")
def contained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    require("docker")
    for project in used(make(tmp_path_factory.mktemp("e2e"), "docker", policy__canary=CANARY)):
        project.use_app(actor.PROGRAM)
        project.deploy()
        yield project


def test_a_container_that_comes_back_with_another_address_is_found(contained: Project) -> None:
    name, network = f"{contained.name}-app-blue", str(contained.manifest["network"]["name"])
    before = _address(name, network)
    docker("stop", "-t", "3", name)
    stranger = f"{contained.name}-stranger"
    image = docker("inspect", "-f", "{{.Image}}", name).strip()
    words = ["--name", stranger, "--network", network, "-e", "APP_PORT=3000", "-e", "APP_HOST=0.0.0.0"]
    docker("run", "-d", *words, "-e", "MODE=stable", "-e", "APP_VERSION=stranger", image)
    try:
        docker("start", name)
        assert _address(name, network) != before == _address(stranger, network)
        until(lambda: versions(contained) == {"1.0.0"}, "traffic follows", seconds=10)
        assert versions(contained) | versions(contained) == {"1.0.0"}
    finally:
        docker("rm", "-f", stranger)


def test_a_container_that_its_restart_policy_started_again_serves_and_can_be_promoted(
    contained: Project,
) -> None:
    os.kill(contained.inspect("app-blue")["State"]["Pid"], signal.SIGKILL)
    until(lambda: contained.inspect("app-blue")["RestartCount"] == 1, "the engine started it again")
    until(lambda: status(contained.port, "/") == 200, "traffic follows", seconds=10)
    assert contained.run("plan", "--json").ok().document()["in_sync"]
    course = under_load(contained, "promote").went()
    assert course.after.answer == ("1.0.0", "canary", ())


def versions(project: Project) -> set[str]:
    return {version for _ in range(20) for version in project.get("/").all("X-Version")}


def _address(container: str, network: str) -> str:
    return docker(
        "inspect", "-f", f'{{{{(index .NetworkSettings.Networks "{network}").IPAddress}}}}', container
    ).strip()

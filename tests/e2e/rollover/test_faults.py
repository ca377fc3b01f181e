"""Accidents in the middle of a change: none of them may cost the service, and the next verb ends them."""

from __future__ import annotations

import http.client
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tests.e2e.project import SOURCE, Project, docker, until
from tests.e2e.rollover import actor
from tests.e2e.rollover.course import CANARY, ROLLOUT, alone, nginx_of, see, under_load
from tests.e2e.rollover.load import Load
from tests.e2e.wire import HOST, status

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


def test_a_split_that_was_cut_off_is_finished_by_the_next_deploy(project: Project) -> None:
    project.set(policy__canary=CANARY)
    project.deploy()
    project.set(rollout=HELD, services__version="2.0.0")
    nginx = nginx_of(project)
    cut_off(project, "deploy", when="blue=10,green=90")
    project.set(rollout=ROLLOUT, services__version="3.0.0")
    with Load(project.port) as load:
        project.deploy()
    assert load.failed == []
    assert see(project).answer[0] == "3.0.0"
    assert len(project.running()) == (3 if project.engine == "docker" else 2)
    assert nginx_of(project) == nginx
    assert project.run("plan", "--json").ok().document()["in_sync"]


@contextmanager
def idle_connection(project: Project) -> Iterator[None]:
    """Keep nginx from ending its old workers, and so the old slot from being drained."""
    connection = http.client.HTTPConnection(HOST, project.port, timeout=10)
    connection.request("GET", "/")
    connection.getresponse().read()
    yield
    connection.close()


@pytest.mark.parametrize("when", ["blue=10,green=90", "blue=0,green=100"])
def test_a_promote_that_was_cut_off_goes_on_to_its_own_end(
    new_project: Callable[..., Project], when: str
) -> None:
    rollout = HELD if "90" in when else {"steps": [100]}
    project = new_project("local", policy__canary=CANARY, rollout=rollout)
    project.deploy()
    with idle_connection(project):
        cut_off(project, "promote", when=when)
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


def test_a_slot_left_over_from_an_earlier_run_is_put_aside(project: Project) -> None:
    """A deploy is killed when its new slot is there and has no traffic yet."""
    project.use_app(actor.PROGRAM)
    project.deploy()
    project.set(services__version="2.0.0", services__health={"interval": 5, "timeout": 60})
    started = project.start("deploy")
    until(lambda: "app-green" in project.running(), "the new slot is there", seconds=40)
    until(lambda: status(project.operator_port, "/slots/green/healthz") == 200, "it answers", seconds=20)
    started.process.kill()
    started.end()
    project.set(services__version="3.0.0", services__health={"interval": 0.2, "timeout": 20})
    course = under_load(project, "deploy").went()
    assert course.after.answer[0] == "3.0.0"
    assert sorted(project.running()) == sorted(
        {"nginx", course.document["slot"] and f"app-{course.document['slot']}"}
        | ({"opa"} if project.engine == "docker" else set())
    )


def test_a_configuration_that_nginx_refuses_only_when_applied_changes_nothing(project: Project) -> None:
    """The candidate of the checks has no slot yet, so that only the applied file is wrong."""
    project.use_app(actor.PROGRAM)
    project.deploy()
    (project.root / "templates").mkdir()
    template = (SOURCE / "templates" / "upstream.conf.j2").read_text()
    bad = "{% if traffic.of('green') %}\nno_such_directive on;\n{% endif %}\n"
    (project.root / "templates" / "upstream.conf.j2").write_text(template + bad)
    project.set(services__version="2.0.0")
    course = under_load(project, "deploy")
    assert course.ended.code == 5, course.ended.said
    assert "no_such_directive" in course.ended.err
    assert course.load.failed == []
    assert course.after == course.before
    (project.root / "templates" / "upstream.conf.j2").write_text(template + "no_such_directive on;\n")
    course = alone(project, "deploy")
    assert course.ended.code == 2, course.ended.said
    assert course.after == course.before


def test_an_app_that_ignores_the_request_to_stop_is_ended_and_nobody_waits_for_it(
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


def test_traffic_follows_a_container_that_its_restart_policy_started_again(
    new_project: Callable[..., Project],
) -> None:
    project = new_project("docker", policy__canary=CANARY)
    project.use_app(actor.PROGRAM)
    project.deploy()
    first = project.inspect("app-blue")
    os.kill(first["State"]["Pid"], signal.SIGKILL)
    until(lambda: project.inspect("app-blue")["RestartCount"] == 1, "the engine started it again")
    until(lambda: status(project.port, "/") == 200, "traffic follows", seconds=10)
    assert project.run("plan", "--json").ok().document()["in_sync"]
    course = under_load(project, "promote").went()
    assert course.after.answer == ("1.0.0", "canary", ())


def test_a_container_that_comes_back_with_another_address_is_found(
    new_project: Callable[..., Project],
) -> None:
    project = new_project("docker")
    project.use_app(actor.PROGRAM)
    project.deploy()
    name, network = f"{project.name}-app-blue", str(project.manifest["network"]["name"])
    before = _address(name, network)
    docker("stop", "-t", "3", name)
    stranger = f"{project.name}-stranger"
    image = docker("inspect", "-f", "{{.Image}}", name).strip()
    words = ["--name", stranger, "--network", network, "-e", "APP_PORT=3000", "-e", "APP_HOST=0.0.0.0"]
    docker("run", "-d", *words, "-e", "MODE=stable", "-e", "APP_VERSION=stranger", image)
    try:
        docker("start", name)
        assert _address(name, network) != before == _address(stranger, network)
        until(lambda: versions(project) == {"1.0.0"}, "traffic follows", seconds=10)
        assert versions(project) | versions(project) == {"1.0.0"}
    finally:
        docker("rm", "-f", stranger)


def versions(project: Project) -> set[str]:
    return {version for _ in range(20) for version in project.get("/").all("X-Version")}


def _address(container: str, network: str) -> str:
    return docker(
        "inspect", "-f", f'{{{{(index .NetworkSettings.Networks "{network}").IPAddress}}}}', container
    ).strip()

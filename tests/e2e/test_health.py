"""Apps that know nothing of SwiftDeploy are found healthy, or the reason why not is named."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.e2e import apps
from tests.e2e.project import Project
from tests.ports import free_port

HEALTH = {"timeout": 3, "interval": 0.2}


def test_an_app_of_one_name_and_a_version_of_its_own_is_deployed(project: Project) -> None:
    project.use_app(apps.OF_ONE_NAME)
    project.set(services__health={**HEALTH, "timeout": 20, "host": "shop.example.com"})
    project.deploy()
    assert project.get("/", headers={"Host": "shop.example.com"}).json()["version"] == "10.4.2"
    status = project.run("status", "--json").ok().document()
    assert status["slots"]["blue"]["healthy"] is True
    assert status["slots"]["blue"]["version"] == "1.0.0"
    assert project.run("plan", "--check").code == 0


def test_a_redirect_is_named_with_its_location_and_the_key_that_sets_the_host(
    new_project: Callable[..., Project],
) -> None:
    project = new_project("local", services__health=HEALTH)
    project.use_app(apps.OF_ONE_NAME)
    ended = project.run("deploy")
    assert ended.code == 6, ended.said
    assert "/healthz answers 301 with Location 'https://shop.example.com/healthz'" in ended.said
    assert f"to a request for Host 127.0.0.1:{project.operator_port}" in ended.said
    assert "services.health.host" in ended.said
    assert "'by another name'" in ended.said


def test_an_app_on_a_port_of_its_own_is_named_with_that_port(new_project: Callable[..., Project]) -> None:
    project, port = new_project("local", services__health=HEALTH), free_port()
    project.use_app(apps.ELSEWHERE)
    project.set(services__process=["python", "app/main.py", str(port)])
    ended = project.run("deploy")
    assert ended.code == 6, ended.said
    assert "nothing listens on APP_PORT " in ended.said
    assert f"; the app listens on 127.0.0.1:{port}" in ended.said
    assert "answers 502" not in ended.said


def test_an_app_on_a_loopback_address_of_its_container_is_named(new_project: Callable[..., Project]) -> None:
    project = new_project("docker", services__health=HEALTH)
    project.use_app(apps.ELSEWHERE)
    ended = project.run("deploy")
    assert ended.code == 6, ended.said
    assert "the app listens on 127.0.0.1:3000, not on 0.0.0.0:3000, where nginx asks" in ended.said


@pytest.mark.parametrize("word", ["$APP_PORT", "${APP_PORT}"])
def test_the_port_in_the_words_of_the_process_is_filled_in(
    new_project: Callable[..., Project], word: str
) -> None:
    project = new_project("local", services__health={**HEALTH, "timeout": 20, "path": "/"})
    project.use_app(apps.ELSEWHERE)
    project.set(services__process=["python", "app/main.py", word])
    project.deploy()
    assert project.get("/").status == 200

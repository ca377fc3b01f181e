"""A verb that was killed between two releases, without overlap: what ends the gap is named, and ends it."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest

from tests.e2e.chaos.trial import LAUNCH
from tests.e2e.project import Ended, Project
from tests.e2e.test_next_commands import command_of

CAUSE = "deploy was interrupted between two releases"


@pytest.fixture(params=["local"])
def shop(request: pytest.FixtureRequest, new_project: Callable[..., Project]) -> Project:
    """A service without overlap; 1.0.0 serves, was confirmed after 0.9.0, and the manifest gives 2.0.0."""
    project = new_project(request.param, rollout__overlap=False, services__metrics={"path": None})
    for version in ("0.9.0", "1.0.0"):
        project.set(services__version=version)
        project.deploy()
    project.set(services__version="2.0.0")
    return project


def kill(project: Project, verb: str, at: str) -> None:
    ended = project.start_as([sys.executable, str(LAUNCH), at], verb).end()
    assert ended.code == -9, ended.said
    assert project.get().status == 503


def status(project: Project) -> Ended:
    ended = project.run("status", "--exit-code")
    assert ended.code == 6, ended.said
    return ended


def version(project: Project) -> str:
    return str(project.get("/healthz").json()["version"])


@pytest.mark.parametrize(
    ("at", "cure", "command", "serves"),
    [
        ("remove app-*", "deploy first returns the traffic to version 1.0.0 (stable)", "deploy", "2.0.0"),
        ("start app-*", "rollback starts version 1.0.0 (stable)", "rollback", "1.0.0"),
        ("wait app-*", "rollback starts version 1.0.0 (stable)", "rollback", "1.0.0"),
    ],
)
@pytest.mark.parametrize("shop", ["local", "docker"], indirect=True)
def test_status_and_plan_name_the_gap_and_the_command_that_ends_it(
    shop: Project, at: str, cure: str, command: str, serves: str
) -> None:
    kill(shop, "deploy", at)
    sentence = f"{CAUSE}: no release serves, requests get 503, and {cure}; next: swiftdeploy {command}"
    assert sentence in " ".join(shop.run("plan").ok().said.split())
    ended = status(shop)
    assert sentence in " ".join(ended.out.split())
    assert command_of(ended) == [command]
    shop.run(command).ok()
    assert version(shop) == serves


def test_a_rollback_that_was_killed_in_the_gap_is_finished_and_goes_no_further(shop: Project) -> None:
    kill(shop, "rollback", "start app-*")
    ended = status(shop)
    assert "rollback was interrupted between two releases" in ended.err
    assert "rollback starts version 0.9.0 (stable)" in ended.err
    shop.run(*command_of(ended)).ok()
    assert version(shop) == "0.9.0"


def test_a_promote_that_was_killed_in_the_gap_leaves_the_way_back_to_what_served(shop: Project) -> None:
    shop.set(services__version="1.0.0")
    kill(shop, "promote", "start app-*")
    shop.run(*command_of(status(shop))).ok()
    assert version(shop) == "1.0.0"


def test_a_gap_that_a_refused_verb_has_left_open_is_named_too(shop: Project) -> None:
    kill(shop, "deploy", "start app-*")
    shop.set(policy__infrastructure={"min_disk_free_gb": 1e9})
    assert shop.run("deploy").code == 3
    ended = status(shop)
    assert "status: no release serves, requests get 503, and rollback starts version 1.0.0" in ended.err
    shop.run(*command_of(ended)).ok()
    assert version(shop) == "1.0.0"

"""One invocation at a time writes in a project; who comes second is told who is first, or waits."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.e2e import apps
from tests.e2e.project import Project, Started, until


@pytest.fixture
def busy(new_project: Callable[..., Project]) -> Iterator[tuple[Project, Started]]:
    """A deploy that is at work for some seconds and then fails."""
    project = new_project("local", services__health={"timeout": 5})
    project.use_app(apps.MUTE)
    started = project.start("deploy")
    until(lambda: "app-blue" in project.running(), "the app runs")
    yield project, started
    assert started.end().code == 6


@pytest.mark.parametrize("verb", ["deploy", "render", "build", "policy-check", "teardown"])
def test_a_writing_verb_is_refused_and_names_the_holder(busy: tuple[Project, Started], verb: str) -> None:
    project, started = busy
    ended = project.run(verb, "--json")
    document = ended.document()
    assert (ended.code, document["task"], document["exit_code"]) == (8, verb, 8)
    assert document["error"]["kind"] == "LockHeld"
    assert "deploy" in document["error"]["message"]
    assert str(started.process.pid) in document["error"]["message"]
    assert "--wait" in document["error"]["next"]
    assert "app-blue" in project.running()


def test_a_reading_verb_is_not_kept_waiting(busy: tuple[Project, Started]) -> None:
    project, _ = busy
    for verb in ("validate", "plan", "status"):
        project.run(verb).ok()


def test_who_waits_gets_its_turn(busy: tuple[Project, Started]) -> None:
    project, started = busy
    project.run("teardown", "--wait", "60").ok()
    assert started.process.poll() is not None
    assert project.left() == []


def test_a_wait_that_is_too_short_ends_as_locked(busy: tuple[Project, Started]) -> None:
    project, _ = busy
    assert project.run("teardown", "--wait", "1").code == 8

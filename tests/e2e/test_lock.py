"""One invocation at a time writes in a project; the error of a second one names the first, or it waits."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable, Iterator

import pytest

from tests.e2e import apps
from tests.e2e.project import Project, Started, until

WRITING = ("deploy", "render", "build", "policy-check", "teardown")


@pytest.fixture
def busy(new_project: Callable[..., Project]) -> Iterator[tuple[Project, Started]]:
    """A deploy that waits for an app that will never answer."""
    project = new_project("local", services__health={"timeout": 60})
    project.use_app(apps.MUTE)
    started = project.start("deploy")
    until(lambda: "app-blue" in project.running(), "the app runs")
    yield project, started
    started.process.send_signal(signal.SIGINT)
    assert started.end().code == 130


def test_a_second_writer_is_refused_and_the_error_names_the_first(busy: tuple[Project, Started]) -> None:
    project, started = busy
    for verb in WRITING:
        ended = project.run(verb, "--json")
        document = ended.document()
        assert (ended.code, document["task"], document["exit_code"]) == (8, verb, 8)
        assert document["error"]["kind"] == "LockHeld"
        assert "locked by deploy " in document["error"]["message"]
        assert str(started.process.pid) in document["error"]["message"]
        assert f"{verb} --wait" in document["error"]["next"]
    assert project.run("teardown", "--wait", "1").code == 8
    met = [record for record in project.history() if record["event"] == "lock"]
    assert [record["argv"] for record in met] == [*WRITING, "teardown"]
    for record in met:
        assert (record["holder"]["verb"], record["holder"]["pid"]) == ("deploy", started.process.pid)
        assert record["who"]["user"]
    assert "app-blue" in project.running()


def test_who_only_reads_is_not_kept_waiting(busy: tuple[Project, Started]) -> None:
    project, _ = busy
    for verb in ("validate", "plan", "status"):
        project.run(verb).ok()


def test_who_waits_gets_its_turn(busy: tuple[Project, Started]) -> None:
    project, started = busy
    waiting = project.start("teardown", "--wait", "60")
    with pytest.raises(subprocess.TimeoutExpired):
        waiting.process.wait(timeout=2)
    started.process.send_signal(signal.SIGINT)
    waiting.end().ok()
    assert started.process.poll() is not None
    assert project.left() == []

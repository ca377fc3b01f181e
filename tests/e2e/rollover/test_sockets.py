"""WebSockets over a rollout by steps: those of the old slot, and those of the new one."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime

from tests.e2e import apps
from tests.e2e.project import Project, Started, until
from tests.e2e.wire import Upgraded

SOCKETS = 16


def prepared(project: Project, sockets: int) -> Project:
    project.use_app(apps.SOCKETS)
    project.manifest["services"]["metrics"] = None
    project.set(
        nginx__proxy_timeout=1,
        nginx__sockets=sockets,
        rollout={"steps": [50, 100], "interval": 1, "min_requests": 0, "drain": 12},
    )
    project.deploy()
    project.set(services__version="2.0.0")
    return project


def drains(project: Project) -> list[float]:
    """When steps `drain` began and ended, as unix seconds."""
    lines = [line for line in project.history() if (line["event"], line.get("action")) == ("step", "drain")]
    return [datetime.fromisoformat(line["time"]).timestamp() for line in lines]


def open_to(project: Project, version: str) -> Upgraded:
    """A socket to the release of this version, as soon as the weights give one."""
    found: list[Upgraded] = []

    def is_there() -> bool:
        one = Upgraded(project.port)
        if one.say("who").startswith(version):
            found.append(one)
        else:
            one.close()
        return bool(found)

    until(is_there, f"a socket to {version}", seconds=60)
    return found[0]


def last_answer(held: Upgraded, started: Started) -> float:
    """Until when a socket answered, as unix seconds."""
    at = 0.0
    while held.say("still there").startswith("1.0.0"):
        at = time.time()
        assert started.process.poll() is None, "the socket outlived the change"
        held.stays_open(0.1)
    return at


def test_a_socket_of_the_old_slot_lives_for_its_seconds_and_one_of_the_new_slot_goes_on(
    project: Project,
) -> None:
    prepared(project, SOCKETS)
    with Upgraded(project.port) as old:
        assert old.say("first").startswith("1.0.0")
        started = project.start("deploy")
        with open_to(project, "2.0.0") as new:
            ended_at = last_answer(old, started)
            ended = started.end().ok()
            assert ended_at - drains(project)[0] >= SOCKETS - 1
            assert "waiting for 1 open connection to the old slot; what is left is closed in" in ended.out
            assert new.say("after all steps").startswith("2.0.0")


def test_a_socket_that_ends_lets_the_old_slot_go(new_project: Callable[..., Project]) -> None:
    project = prepared(new_project("local"), 600)
    old = Upgraded(project.port)
    started = project.start("deploy")
    with open_to(project, "2.0.0") as new:
        until(lambda: bool(drains(project)), "the drain", seconds=60)
        assert old.say("still there").startswith("1.0.0")
        old.close()
        started.end().ok()
        assert new.say("after all steps").startswith("2.0.0")

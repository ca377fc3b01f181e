"""Confirming what serves: a host that is slow makes a verb slow, and undoes no rollback."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import cast

import pytest

from swiftdeploy_tasks.errors import AppUnhealthy
from swiftdeploy_tasks.model.state import Placement, Proxy, State, Traffic
from swiftdeploy_tasks.proxy import probe
from swiftdeploy_tasks.rollout import slot_health
from swiftdeploy_tasks.rollout.job import Job
from swiftdeploy_tasks.rollout.planner import Step
from tests.rollout.plan_states import NGINX, occupied, release
from tests.slow_apps import serving, whole

RELEASE = release("1.0.0")
WELL = whole("200 OK", b'{"mode": "stable", "version": "1.0.0"}', "X-Deployed-By: swiftdeploy")
SICK = whole("500 Internal Server Error", b"the disk is full", "X-Deployed-By: swiftdeploy")


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time-outs of a part of a second, with the same order between them."""
    monkeypatch.setattr(slot_health, "CONFIRM_SECONDS", 0.5)
    monkeypatch.setattr(slot_health, "LATE_SECONDS", 0.2)
    monkeypatch.setattr(probe, "LONGEST", 0.4)


@contextmanager
def answering(*, late: Callable[[int], bool], answer: bytes = WELL) -> Iterator[Job]:
    """A job whose ports give this answer; one is never given where `late` says so of its number, from 0."""
    ended, numbers, said = threading.Event(), iter(range(10_000)), list[str]()

    def one(connection: socket.socket, _: str) -> None:
        if late(next(numbers)):
            ended.wait()
        connection.sendall(answer)

    with serving(one) as port:
        nginx = SimpleNamespace(port=port, operator_port=port, private=(), hosts=())
        seen = State(Proxy("", "", operator_port=port), {"blue": Placement(RELEASE, "")})
        engine = SimpleNamespace(observe=lambda: seen, logs=lambda part: ())
        job = SimpleNamespace(
            manifest=SimpleNamespace(nginx=nginx),
            engine=engine,
            at_once=False,
            say=said.append,
            said=said,
            secrets={},
            pace=probe.Pace(0.1),
        )
        yield cast("Job", job)
        ended.set()


@pytest.fixture(autouse=True)
def no_generation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "generation", lambda port: None)


def test_a_few_late_answers_do_not_undo_a_change() -> None:
    with answering(late=lambda number: number in (0, 3)) as job:
        slot_health.confirm(job, "blue", RELEASE)


def test_answers_that_are_mostly_late_undo_a_deploy() -> None:
    with (
        answering(late=lambda number: number % 4 != 0) as job,
        pytest.raises(AppUnhealthy, match=r"on the public port [0-9]+: no answer in time"),
    ):
        slot_health.confirm(job, "blue", RELEASE)


def test_answers_that_are_late_undo_no_rollback() -> None:
    with answering(late=lambda number: True) as job:
        job.at_once = True
        slot_health.confirm(job, "blue", RELEASE)
        slot_health.refuse_sick(job, "blue", RELEASE)
        assert "are late; the rollback stays" in " ".join(job.said)  # type: ignore[attr-defined]


@pytest.mark.parametrize("is_rollback", [False, True])
def test_answers_that_are_wrong_undo_every_change(is_rollback: bool) -> None:
    with answering(late=lambda number: False, answer=SICK) as job:
        job.at_once = is_rollback
        with pytest.raises(AppUnhealthy, match="/healthz answers 500"):
            slot_health.confirm(job, "blue", RELEASE)
        with pytest.raises(AppUnhealthy, match="/healthz answers 500"):
            slot_health.refuse_sick(job, "blue", RELEASE)


def test_a_slot_whose_answers_take_longer_than_the_first_time_out_gets_healthy() -> None:
    """The first answers are given up; then the time-out is as long as the app needs."""

    def slow(connection: socket.socket, _: str) -> None:
        threading.Event().wait(0.25)
        connection.sendall(WELL)

    state = State(NGINX, {"blue": occupied(RELEASE)}, Traffic())
    step = Step("wait", "app-blue", "it is new", state, "blue")
    with answering(late=lambda number: False) as job, serving(slow) as port:
        job.manifest.nginx.operator_port = port  # type: ignore[misc]
        slot_health.wait_healthy(job, step)
        assert job.pace.timeout == probe.LONGEST

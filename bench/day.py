"""The history of an eventful day: a project on the local engine, under load, for a minute or two.

The pictures and the tests of the report use it.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

import requests

from bench.load import Plan, under_load
from bench.stack import Stack, stack
from swiftdeploy_tasks.model.release import Slot, other
from tests.e2e.terminal import Terminal

REFUSED = 3
_SETTINGS = {
    "policy__canary": {"window": 8},
    "services__health": {"interval": 0.2, "timeout": 30},
}


@contextlib.contextmanager
def project(*, rate: float = 60.0, interval: int = 4) -> Iterator[Stack]:
    """A project that serves `rate` requests/s; each step of its roll-overs lasts `interval` seconds."""
    rollout = {"steps": [10, 50, 100], "interval": interval, "drain": 12, "min_requests": 5}
    with (
        stack("local", rollout=rollout, **_SETTINGS) as made,
        under_load(Plan(made.port, rate, seconds=600, kept=8)),
    ):
        yield made


@contextlib.contextmanager
def looked_at(made: Stack) -> Iterator[Terminal]:
    """A dashboard that is left on while the block runs; its last picture stays on the terminal."""
    terminal = Terminal(made.place.root, "status", "--interval", "1", TERM="xterm-256color", LINES="60")
    try:
        yield terminal
    finally:
        terminal.end()


def spend(made: Stack, *, idle: float = 0.0) -> None:
    """Promote; break the canary; be refused; deploy what turns sick and goes back; roll back.

    `idle` is how many seconds pass between these. Raises RuntimeError where one ends otherwise than so.
    """
    pause = threading.Event()
    pause.wait(idle)
    made.run("promote").ok()
    pause.wait(idle)
    canary = other(made.other_slot())
    _order(made, canary, {"mode": "error", "rate": 0.4})
    pause.wait(max(idle, 5))
    _refused(made.run("promote").code)
    _order(made, canary, {"mode": "recover"})
    pause.wait(idle)
    _turn_sick(made)
    pause.wait(idle)
    made.run("rollback").ok()
    pause.wait(idle)


def _turn_sick(made: Stack) -> None:
    made.set(services__version="1.1.0")
    slot = made.other_slot()
    deploying = made.start("deploy")
    deploying.until_watched(slot, 50)
    made.break_slot(slot)
    _refused(deploying.end().code)


def _refused(code: int) -> None:
    if code != REFUSED:
        raise RuntimeError(f"it should have been refused, and ended with {code}")


def _order(made: Stack, slot: Slot, order: dict[str, object]) -> None:
    url = f"http://127.0.0.1:{made.operator_port}/slots/{slot}/chaos"
    requests.post(url, json=order, timeout=5, headers={"Connection": "close"}).raise_for_status()

"""The app that ships, as a real process: known requests give the window that they are."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
import requests

from swiftdeploy_tasks.metrics import Scrape, choose, is_unmoved, parse, window
from tests.app.conftest import App, running
from tests.metrics.simulated import LEFT_OUT


@pytest.fixture(scope="module")
def process() -> Iterator[App]:
    with running(MODE="canary") as app:
        yield app


def scrape(app: App) -> Scrape:
    answer = app.get("/metrics")
    return parse(answer.text, at=time.time(), leave_out=LEFT_OUT)


def ask(app: App, count: int, path: str = "/") -> None:
    with requests.Session() as session:
        for _ in range(count):
            session.get(app.url + path, timeout=10)


def test_known_requests_give_their_window(process: App) -> None:
    before = scrape(process)
    ask(process, 30)
    ask(process, 6, "/nowhere")
    process.chaos({"mode": "error", "rate": 1})
    ask(process, 4)
    erring = scrape(process)
    process.chaos({"mode": "recover"})
    ask(process, 20, "/healthz")
    after = scrape(process)
    seen = window(before, after)
    assert (seen.requests, seen.error_rate) == (40, 0.1)
    assert seen.p99_ms is not None
    assert 0 < seen.p99_ms <= 1000
    assert (before.mode, before.chaos, erring.chaos, after.chaos) == ("canary", "none", "error", "none")
    assert is_unmoved(erring, after), "only the health path was asked since"


def test_window_is_as_long_as_the_app_ran(process: App) -> None:
    begun = time.monotonic()
    before = scrape(process)
    asked = time.monotonic()
    ask(process, 50)
    ended = time.monotonic()
    after = scrape(process)
    # The app gives its age in milliseconds.
    assert ended - asked - 0.002 <= window(before, after).seconds <= time.monotonic() - begun + 0.002


def test_slow_answers_are_in_the_percentiles(process: App) -> None:
    before = scrape(process)
    process.chaos({"mode": "slow", "duration": 0.3})
    ask(process, 3)
    process.chaos({"mode": "recover"})
    seen = window(before, scrape(process))
    assert seen.p50_ms is not None
    assert 250 <= seen.p50_ms <= 500


def test_young_app_is_judged_since_its_start() -> None:
    with running(MODE="stable") as app:
        ask(app, 5)
        now = scrape(app)
        seen = window(choose([], now, seconds=30), now)
    assert now.mode == "stable"
    assert seen.requests == 5
    assert seen.seconds == now.uptime

"""Which recorded scrapes a window may start from."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from swiftdeploy_tasks import metrics
from swiftdeploy_tasks.history import chain
from swiftdeploy_tasks.history.chain import Head
from swiftdeploy_tasks.history.store import History
from swiftdeploy_tasks.metrics import Scrape
from swiftdeploy_tasks.model.release import Release
from swiftdeploy_tasks.rollout import scrape_records
from swiftdeploy_tasks.session.run import Run
from tests.history.rotated import put_head

SECONDS = 30.0


@pytest.fixture
def history(tmp_path: Path) -> History:
    return History(tmp_path / "history.jsonl", tmp_path / ".swiftdeploy")


def scrape(*, ok: int, errors: int, ago: float = 0.0) -> Scrape:
    return Scrape(time=time.time() - ago, ok=ok, errors=errors, uptime=1000.0 - ago)


def fields(scraped: Scrape) -> dict[str, Any]:
    return {"slots": {"blue": {"release": "r1", "counters": scraped.document()}, "green": None}}


def record(history: History, scraped: Scrape) -> None:
    history.append("scrape", "status", "ours", "done", **fields(scraped))


def forge(history: History, scraped: Scrape, after: Head | None = None) -> None:
    """Append a valid `scrape` record that comes next after the head, or after another place."""
    head = after or history.head() or chain.GENESIS
    content = {"event": "scrape", "task": "status", "run": "f", "outcome": "done", **fields(scraped)}
    line = chain.line_of(chain.seal(content, head, "2030-01-01T00:00:00.000Z"))
    with history.path.open("ab") as file:
        file.write(line)


def known(history: History) -> list[Scrape]:
    run, release = SimpleNamespace(history=history), SimpleNamespace(id="r1")
    return scrape_records.scrapes_of(cast(Run, run), "blue", cast(Release, release), seconds=SECONDS)


def test_a_recorded_scrape_starts_a_window(history: History) -> None:
    then = scrape(ok=0, errors=0, ago=SECONDS)
    record(history, then)
    assert [(one.ok, one.errors) for one in known(history)] == [(0, 0)]


@pytest.mark.parametrize("appends", [0, 1, 3])
def test_one_appended_scrape_does_not_dilute_the_error_rate(history: History, appends: int) -> None:
    """The audit still calls the history whole: the line looks like what a crash leaves."""
    record(history, scrape(ok=0, errors=0, ago=3600))
    now = scrape(ok=770, errors=230)
    forge(history, scrape(ok=0, errors=224, ago=SECONDS))
    for _ in range(appends):
        history.append("started", "promote", "ours")
    assert history.verify().ok
    assert [one.errors for one in known(history)] in ([], [0])
    assert metrics.choose(known(history), replace(now, uptime=None), seconds=SECONDS) is None


@pytest.mark.parametrize("place", [Head(1, "ab" * 32), Head(90, "cd" * 32)])
def test_a_scrape_that_follows_no_record_starts_no_window(history: History, place: Head) -> None:
    history.append("started", "deploy", "ours")
    forge(history, scrape(ok=0, errors=224, ago=SECONDS), place)
    assert known(history) == []
    history.append("started", "promote", "ours")
    assert known(history) == []


def test_a_scrape_of_our_own_after_an_appended_one_starts_a_window(history: History) -> None:
    record(history, scrape(ok=0, errors=0, ago=3600))
    forge(history, scrape(ok=0, errors=224, ago=SECONDS))
    record(history, scrape(ok=10, errors=3, ago=SECONDS))
    assert [one.errors for one in known(history)] == [3]


def test_five_thousand_records_are_read_in_a_part_of_a_second(history: History) -> None:
    history.append("started", "status", "ours")
    head, written = history.head() or chain.GENESIS, b""
    for number in range(scrape_records.RECORDS_BACK + 10):
        content = {"event": "step", "task": "deploy", "run": "ours", "outcome": "done", "number": number}
        sealed = chain.seal(content, head, "2026-01-01T00:00:00.000Z")
        head, written = Head.of(sealed), written + chain.line_of(sealed)
    with history.path.open("ab") as file:
        file.write(written)
    put_head(history, head)
    began = time.process_time()
    assert known(history) == []
    assert time.process_time() - began < 1.0

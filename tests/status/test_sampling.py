"""Windows from scrapes that are remembered: true ones only, in bounded memory."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from swiftdeploy_tasks.errors import EngineError
from swiftdeploy_tasks.manifest.model import MetricsPage
from swiftdeploy_tasks.metrics import AccessLog, Scrape, UnreadableMetrics
from swiftdeploy_tasks.model.state import Placement, Proxy, State, Traffic
from swiftdeploy_tasks.rollout import sampling, slot_metrics
from swiftdeploy_tasks.rollout.sampling import KEPT, Look, Memory, Sample
from tests.status.values import RELEASE

PAGE = SimpleNamespace(services=SimpleNamespace(metrics=MetricsPage("/metrics")))
SEEN = State(
    Proxy("", "", operator_port=1), {"blue": Placement(RELEASE, "", healthy=True)}, Traffic({"blue": 100})
)


def counted(at: float, ok: int = 0) -> Scrape:
    """An app that was started long ago."""
    return Scrape(time=at, ok=ok, uptime=10_000.0 + at)


def looked(monkeypatch: pytest.MonkeyPatch, memory: Memory, now: Scrape) -> Sample:
    monkeypatch.setattr(slot_metrics, "scrape", lambda manifest, port, slot: now)
    look = Look(manifest=PAGE, engine=None, seen=SEEN, seconds=30.0)  # type: ignore[arg-type]
    sample = sampling.take(look, memory)["blue"]
    assert sample is not None
    return sample


def test_the_first_look_has_no_window(monkeypatch: pytest.MonkeyPatch) -> None:
    assert looked(monkeypatch, Memory(lambda slot, release: ()), counted(0, ok=7)).window is None


def test_the_next_looks_have_one_as_long_as_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = Memory(lambda slot, release: ())
    lengths = []
    for at in range(0, 61, 5):
        window = looked(monkeypatch, memory, counted(at, ok=7 + at * 2)).window
        lengths.append(window.seconds if window else None)
        assert window is None or window.rate == 2.0
    assert lengths == [None, 5, 10, 15, 20, 25, 30, 30, 30, 30, 30, 30, 30]


def test_a_recorded_scrape_of_the_last_half_minute_makes_the_first_look_one_with_a_window(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    memory = Memory(lambda slot, release: [counted(0)])
    window = looked(monkeypatch, memory, counted(30, ok=60)).window
    assert window and (window.seconds, window.requests) == (30, 60)


def test_a_scrape_of_an_hour_ago_makes_no_window_where_something_was_counted_since(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    memory = Memory(lambda slot, release: [counted(0)])
    assert looked(monkeypatch, memory, counted(3600, ok=60)).window is None


def test_another_release_in_the_slot_is_not_counted_from_the_former_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    memory = Memory(lambda slot, release: ())
    looked(monkeypatch, memory, counted(0))
    other = replace(RELEASE, version="2.0.0")
    memory.of("blue", other)
    assert list(memory.held) == [("blue", other.id)]
    assert looked(monkeypatch, memory, counted(5, ok=10)).window is None


def test_memory_stays_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = Memory(lambda slot, release: ())
    for at in range(3 * KEPT):
        looked(monkeypatch, memory, counted(at))
    assert [len(held) for held in memory.held.values()] == [KEPT]


def test_metrics_that_cannot_be_read_are_reported_and_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreadable(manifest: object, port: int, slot: str) -> Scrape:
        raise UnreadableMetrics("/metrics of app-blue: it answers 500")

    monkeypatch.setattr(slot_metrics, "scrape", unreadable)
    look = Look(manifest=PAGE, engine=None, seen=SEEN, seconds=30.0)  # type: ignore[arg-type]
    samples = sampling.take(look, Memory(lambda slot, release: ()))
    sample = samples["blue"]
    assert sample and sample.window is None and "it answers 500" in sample.problem
    assert "it answers 500" in sampling.records(samples)["slots"]["blue"]["error"]


FROM_NGINX = SimpleNamespace(services=SimpleNamespace(metrics="nginx", health=SimpleNamespace(path="/")))
REACHED = replace(SEEN.slots["blue"], reach=("127.0.0.1", 4000))


def logged(answer: Callable[[float], AccessLog], memory: Memory) -> Sample:
    engine = SimpleNamespace(access_log=answer)
    seen = replace(SEEN, slots={"blue": REACHED})
    look = Look(manifest=FROM_NGINX, engine=engine, seen=seen, seconds=30.0)  # type: ignore[arg-type]
    sample = sampling.take(look, memory)["blue"]
    assert sample is not None
    return sample


def test_reads_of_nginx_s_log_add_up_and_record_no_counters() -> None:
    memory, now = Memory(lambda slot, release: ()), time.time()
    when = datetime.fromtimestamp(now, UTC).isoformat(timespec="seconds")
    asked = []

    def answer(seconds: float) -> AccessLog:
        asked.append(seconds)
        line = f"{when} | 200 | 0.004s | 127.0.0.1:4000 | GET / HTTP/1.1"
        return AccessLog((line,) * len(asked), since=now - seconds, until=now)

    for number in (1, 2, 3):
        sample = logged(answer, memory)
        assert sample.window and sample.window.requests == number
    assert asked[0] == 31 and max(asked[1:]) < 5
    assert "counters" not in sample.record()


def test_a_log_that_cannot_be_read_is_a_problem() -> None:
    def refuse(seconds: float) -> AccessLog:
        raise EngineError("the access log of nginx cannot be read: no answer in time", "invoke validate")

    assert "no answer in time" in logged(refuse, Memory(lambda slot, release: ())).problem
    nothing = logged(lambda seconds: AccessLog((), 5.0, 5.0), Memory(lambda slot, release: ()))
    assert nothing.window is None and "nginx's access log does not show" in nothing.problem


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (None, "none", ""),
        (None, "slow", "seen"),
        ("none", "error", "seen"),
        ("slow", "error", "seen"),
        ("error", "error", ""),
        ("error", "none", "gone"),
    ],
)
def test_a_change_of_chaos_is_reported_once(before: str | None, after: str, expected: str) -> None:
    earlier = Scrape(time=1.0, chaos=before) if before else None
    assert sampling.turned(earlier, Scrape(time=2.0, chaos=after)) == expected


@pytest.mark.parametrize(
    "slots",
    [
        None,
        "blue",
        [],
        {"blue": 7},
        {"blue": {"release": RELEASE.id}},
        {"blue": {"release": RELEASE.id, "counters": "many"}},
        {"blue": {"release": RELEASE.id, "counters": {"time": 1}}},
        {"blue": {"release": "another", "counters": counted(1).document()}},
    ],
)
def test_a_record_in_another_form_has_no_scrape(slots: object) -> None:
    assert sampling.recorded({"slots": slots}, "blue", RELEASE.id) is None


def test_what_is_recorded_is_read_back() -> None:
    sample = Sample(RELEASE, 100, True, scrape=counted(5, ok=9))
    record = sampling.records({"blue": sample, "green": None})
    assert sampling.recorded(record, "blue", RELEASE.id) == sample.scrape
    assert sampling.recorded(record, "green", RELEASE.id) is None

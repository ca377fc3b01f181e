"""A new release that is ill is found out while it takes traffic, and goes back by itself."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.e2e.project import Project, make, until, used
from tests.e2e.rollover import actor
from tests.e2e.rollover.course import see, under_load

SPLIT = {"steps": [50, 100], "interval": 8, "min_requests": 5}
POLICY = {"window": 1, "max_p99_ms": 5000}


@pytest.fixture(scope="module")
def serving(engine: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """The actor, well and serving; each test leaves it so."""
    changes = {"policy__canary": POLICY, "rollout": SPLIT, "nginx__proxy_timeout": 3}
    for project in used(make(tmp_path_factory.mktemp("e2e"), engine, **changes)):
        project.use_app(actor.PROGRAM)
        project.deploy()
        yield project


ILL = {
    "errors": (3, ("error rate", "at most 0.01", "requests over"), "the table orders is missing"),
    "dies": (6, ("died",), "no memory left"),
    "turns unhealthy": (6, ("turned unhealthy", "503"), "this release is ill"),
    "metrics hang": (3, ("could not be read", "no answer in time"), "this release is ill"),
    "metrics fail": (3, ("could not be read", "answers 500"), "this release is ill"),
    "metrics garbage": (3, ("could not be read",), "this release is ill"),
}
ON_DOCKER = ("errors", "dies", "metrics hang")


@pytest.mark.parametrize("fault", ILL)
def test_an_ill_release_goes_back_by_itself(serving: Project, fault: str) -> None:
    if serving.engine == "docker" and fault not in ON_DOCKER:
        pytest.skip("nothing in it differs by engine: held on local")
    code, words, last_words = ILL[fault]
    serving.set(services__env={"FAULT": fault}, services__version="2.0.0")
    fine = frozenset({500}) if fault == "errors" else frozenset({502}) if fault == "dies" else frozenset()
    try:
        course = under_load(serving, "deploy", fine=fine)
        plan = serving.run("plan", "--json").ok().document()
    finally:
        serving.set(services__env={}, services__version="1.0.0")
    ended = course.ended
    assert ended.code == code, ended.said
    assert [word for word in words if word not in ended.err] == [], ended.said
    assert last_words in ended.err
    assert "\nnext: " in ended.err
    assert course.load.failed == []
    assert course.after == course.before
    assert ended.document()["error"]["kind"] == ("AppUnhealthy" if code == 6 else "PolicyRefused")
    assert plan["steps"][0]["action"] == "start"
    assert [r["outcome"] for r in serving.history() if r["event"] == "undone"][-1] == "done"


def test_slow_requests_mark_no_slot_down_and_an_interrupted_split_goes_back(serving: Project) -> None:
    before = see(serving)
    serving.set(rollout={**SPLIT, "steps": [10, 100], "interval": 60}, services__version="2.0.0")
    started = serving.start("deploy")
    try:
        until(
            lambda: b"=90,green=10" in generation(serving) or b"=10,green=90" in generation(serving), "split"
        )
        # Of two in a row at 90/10 at least one goes to the slot that has the 90.
        with ThreadPoolExecutor(4) as pool:
            slow = list(pool.map(lambda _: serving.get("/slow", method="POST", body=b"x").status, range(4)))
        answers = [serving.get("/") for _ in range(100)]
    finally:
        started.process.send_signal(signal.SIGINT)
        ended = started.end()
        serving.set(rollout=SPLIT, services__version="1.0.0")
    assert slow == [504] * 4
    assert Counter(answer.status for answer in answers) == {200: 100}
    shares = Counter(answer.all("X-Version")[0] for answer in answers)
    assert shares == {"1.0.0": 90, "2.0.0": 10}
    assert ended.code == 130, ended.said
    assert see(serving) == before


def test_an_app_that_has_counted_nothing_yet_is_not_ill(serving: Project) -> None:
    if serving.engine == "docker":
        pytest.skip("nothing in it differs by engine: held on local")
    serving.set(
        rollout={"steps": [50, 100], "interval": 2.5, "min_requests": 0},
        services__env={"FAULT": "counts nothing yet"},
    )
    try:
        serving.deploy()
    finally:
        serving.set(rollout={"steps": [100]}, services__env={})
        serving.deploy()
        serving.set(rollout=SPLIT)


def test_without_metrics_health_alone_decides_and_is_said_to(serving: Project) -> None:
    serving.set(
        rollout={"steps": [50, 100], "interval": 1, "min_requests": 5},
        services__version="2.0.0",
    )
    serving.manifest["services"]["metrics"] = None
    serving.write()
    try:
        course = under_load(serving, "deploy").went()
        assert "judged by health alone (services.metrics is null)" in course.ended.err
        refused = [v for v in course.document["verdicts"] if not v["allow"]]
        assert refused == []
        assert course.after.answer[0] == "2.0.0"
    finally:
        serving.set(rollout=SPLIT, services__metrics={"path": "/metrics"})


def generation(project: Project) -> bytes:
    return project.operator("/generation").body

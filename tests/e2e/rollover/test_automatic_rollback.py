"""A new release that is ill is found out while it takes traffic, and goes back by itself."""

from __future__ import annotations

import shutil
import signal
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.e2e.project import SOURCE, Project, make, until, used
from tests.e2e.rollover import actor
from tests.e2e.rollover.course import CANARY, alone, see, under_load

SPLIT = {"steps": [50, 100], "interval": 8, "min_requests": 5}


def acting(folder: Path, engine: str) -> Iterator[Project]:
    """The actor, well and serving; each test leaves it so."""
    changes = {"policy__canary": CANARY, "rollout": SPLIT, "nginx__proxy_timeout": 3}
    for project in used(make(folder, engine, **changes)):
        project.use_app(actor.PROGRAM)
        project.deploy()
        yield project


@pytest.fixture(scope="module")
def serving(engine: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    yield from acting(tmp_path_factory.mktemp("e2e"), engine)


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """For faults that come and are seen over HTTP alone, the same on every engine."""
    yield from acting(tmp_path_factory.mktemp("e2e"), "local")


def goes_back(project: Project, fault: str, code: int, *words: str, fine: frozenset[int]) -> None:
    project.set(services__env={"FAULT": fault}, services__version="2.0.0")
    try:
        course = under_load(project, "deploy", fine=fine)
        plan = project.run("plan", "--json").ok().document()
    finally:
        project.set(services__env={}, services__version="1.0.0")
    ended = course.ended
    assert ended.code == code, ended.said
    assert [word for word in words if word not in ended.err] == [], ended.said
    assert "\nnext: " in ended.err
    assert course.load.failed == []
    assert course.after == course.before
    assert ended.document()["error"]["kind"] == ("AppUnhealthy" if code == 6 else "PolicyRefused")
    assert plan["steps"][0]["action"] == "start"
    records = project.history()
    assert [r["outcome"] for r in records if r["event"] == "undone"][-1] == "done"
    way_back = [r for r in records if r["event"] == "rolled_back"][-1]
    assert way_back["run"] == next(r["run"] for r in reversed(records) if r["task"] == "deploy")
    assert way_back["reason"]["message"] == ended.document()["error"]["message"]
    assert way_back["to"]["release"] == ended.document()["previous"]
    assert way_back["had_traffic"] is True
    assert 0 < way_back["seconds"] < ended.document()["duration_s"]
    end = [r for r in records if r["event"] == "finished" and r["task"] == "deploy"][-1]
    assert (end["exit_code"], end["spent"]) == (code, ended.document()["spent"])
    steps = [r for r in records if r["event"] == "step" and r["run"] == end["run"]]
    going, ended_so = steps[::2], steps[1::2]
    last_route = max(at for at, r in enumerate(going) if r["action"] == "route")
    # A slot that has died is not there to be drained and removed.
    assert [r["action"] for r in going[last_route:]] in (["route"], ["route", "drain", "remove"])
    assert {r["outcome"] for r in ended_so[last_route:]} == {"done"}
    assert [sorted(r["weights"].values()) for r in going[last_route:]] == [[100]] * len(going[last_route:])
    assert going[last_route]["reason"].startswith("undo: app-")
    assert end["log"]
    assert [line for line in end["log"] if line not in ended.err] == []


def test_a_release_that_answers_500_to_all_but_health_goes_back_by_itself(serving: Project) -> None:
    words = ("error rate", "at most 0.01", "by chance at most once in", "the table orders is missing")
    goes_back(serving, "errors", 3, *words, fine=frozenset({500}))


def test_a_release_that_dies_while_it_is_watched_goes_back_by_itself(serving: Project) -> None:
    goes_back(serving, "dies", 6, "died", "no memory left", fine=frozenset({502}))


NO_MORE = {
    "turns unhealthy": (6, ("became unhealthy", "503")),
    # A second look waits longer than nginx does.
    "metrics hang": (3, ("could not be read", "answers 504")),
    "metrics fail": (3, ("could not be read", "answers 500")),
    "metrics garbage": (3, ("could not be read",)),
}


@pytest.mark.parametrize("fault", NO_MORE)
def test_a_release_that_cannot_be_watched_any_more_goes_back_by_itself(here: Project, fault: str) -> None:
    code, words = NO_MORE[fault]
    goes_back(here, fault, code, *words, f"this release is ill: {fault}", fine=frozenset())


def test_an_app_that_has_counted_nothing_yet_is_not_ill(here: Project) -> None:
    here.set(
        rollout={"steps": [50, 100], "interval": 2.5, "min_requests": 0},
        services__env={"FAULT": "counts nothing yet"},
    )
    here.deploy()


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


def test_a_configuration_that_nginx_refuses_only_when_applied_changes_nothing(serving: Project) -> None:
    """The candidate of the checks has no slot yet, so that only the applied file is wrong."""
    free = "green" if b"blue=100" in generation(serving) else "blue"
    folder = serving.root / "templates"
    template = (SOURCE / "templates" / "upstream.conf.j2").read_text()
    bad = f"{{% if traffic.of('{free}') %}}\nno_such_directive on;\n{{% endif %}}\n"
    folder.mkdir()
    serving.set(services__version="2.0.0", rollout={"steps": [100]})
    try:
        (folder / "upstream.conf.j2").write_text(template + bad)
        applied = under_load(serving, "deploy")
        (folder / "upstream.conf.j2").write_text(template + "no_such_directive on;\n")
        checked = alone(serving, "deploy")
    finally:
        shutil.rmtree(folder)
        serving.set(services__version="1.0.0", rollout=SPLIT)
    assert (applied.ended.code, checked.ended.code) == (5, 2), applied.ended.said + checked.ended.said
    assert "no_such_directive" in applied.ended.err
    assert "no_such_directive" in checked.ended.err
    assert applied.load.failed == []
    assert applied.after == applied.before == checked.after


def test_a_split_that_was_cut_off_is_finished_by_the_next_deploy(serving: Project) -> None:
    """From here on another release serves."""
    before = see(serving)
    serving.set(rollout={**SPLIT, "steps": [90, 100], "interval": 60}, services__version="2.0.0")
    started = serving.start("deploy")
    until(lambda: b"=90" in generation(serving), "split", seconds=40)
    started.process.kill()
    started.end()
    serving.set(rollout={**SPLIT, "interval": 1}, services__version="3.0.0")
    course = under_load(serving, "deploy").went()
    assert course.after.answer[0] == "3.0.0"
    assert course.after.nginx == before.nginx
    assert len(course.after.running) == len(before.running)
    assert serving.run("plan", "--json").ok().document()["in_sync"]


def test_without_metrics_health_alone_decides_and_is_said_to(serving: Project) -> None:
    serving.set(rollout={**SPLIT, "interval": 1}, services__version="4.0.0")
    serving.manifest["services"]["metrics"] = None
    serving.write()
    course = under_load(serving, "deploy").went()
    assert "judged by health alone (services.metrics is null)" in course.ended.err
    assert [v for v in course.document["verdicts"] if not v["allow"]] == []
    assert course.after.answer[0] == "4.0.0"


def generation(project: Project) -> bytes:
    return project.operator("/generation").body

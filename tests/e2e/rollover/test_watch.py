"""A new release is watched at each share, 100 too, by what nginx counted beside the page of the app."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator

import pytest

from tests.e2e.project import Project, make, until, used
from tests.e2e.rollover import actor
from tests.e2e.rollover.course import alone, see, under_load
from tests.e2e.rollover.load import Load
from tests.ports import free_port

CANARY = {"window": 1, "max_p99_ms": 5000}
ALL_AT_ONCE = {"steps": [100], "interval": 4, "min_requests": 10}
FAULTS = {
    "errors": (3, "error rate"),
    "errors uncounted": (3, "as nginx counted"),
    "one in three resets": (3, "as nginx counted"),
    "one in three hangs": (3, "as nginx counted"),
    "not found": (3, "client errors"),
    "one in two breaks off": (3, "as nginx counted"),
    "one in two chunked breaks off": (3, "as nginx counted"),
    "not HTTP": (3, "as nginx counted"),
    "counts afresh": (3, "page counted no request"),
    "dies later": (6, "died"),
    "fails above 40/s": (3, "error rate"),
}
# What nginx counts is the same on docker, so a fault of each kind is enough there.
CASES = [("local", fault) for fault in FAULTS] + [
    ("docker", fault)
    for fault in ("errors uncounted", "one in three hangs", "one in two breaks off", "not HTTP", "dies later")
]


@pytest.fixture(scope="module")
def serving(engine: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    changes = {"policy__canary": CANARY, "rollout": ALL_AT_ONCE, "nginx__proxy_timeout": 2}
    for project in used(make(tmp_path_factory.mktemp("e2e"), engine, **changes)):
        project.use_app(actor.PROGRAM)
        project.deploy()
        yield project


@pytest.mark.parametrize(("engine", "fault"), CASES, indirect=["engine"])
def test_a_release_that_is_sick_with_all_traffic_goes_back(serving: Project, fault: str) -> None:
    code, words = FAULTS[fault]
    serving.set(services__env={"FAULT": fault}, services__version="2.0.0")
    try:
        course = under_load(serving, "deploy", fine=frozenset({500, 502, 504}))
    finally:
        serving.set(services__env={}, services__version="1.0.0")
    assert course.ended.code == code, course.ended.said
    assert words in course.ended.document()["error"]["message"]
    assert course.after == course.before
    assert serving.run("plan", "--json").ok().document()["steps"] == []
    assert list((serving.state / "counts").glob("*.log")) == []


def test_a_release_that_was_refused_and_stays_for_want_of_another_is_never_confirmed(
    new_project: Callable[..., Project], engine: str
) -> None:
    """The old one dies meanwhile: nothing is there to go back to but by `rollback`."""
    project = new_project(engine, policy__canary=CANARY, rollout={**ALL_AT_ONCE, "min_requests": 30})
    project.use_app(actor.PROGRAM)
    project.deploy()
    project.set(services__version="2.0.0", services__env={"FAULT": "errors"})
    with Load(project.port, fine=frozenset({500, 502, 504})):
        started = project.start("deploy")
        until(lambda: project.generation().startswith("blue=0,green=100"), "the new one has all traffic")
        project.stop("app-blue")
        refused = started.end()
        again = project.run("deploy")
        back = project.run("rollback")
    assert (refused.code, again.code) == (3, 3), refused.said + again.said
    assert "unconfirmed" in refused.said
    assert "serves and is not confirmed" in again.said
    back.ok()
    assert project.get("/").status == 200
    assert [r["version"] for r in project.history() if r["event"] == "confirmed"] == ["1.0.0", "1.0.0"]


def test_a_release_whose_share_is_small_is_judged_by_nginx_too(serving: Project) -> None:
    serving.set(
        rollout={"steps": [50, 100], "interval": 4, "min_requests": 10},
        services__env={"FAULT": "one in three hangs"},
        services__version="2.0.0",
    )
    try:
        course = under_load(serving, "deploy", fine=frozenset({504}))
    finally:
        serving.set(rollout=ALL_AT_ONCE, services__env={}, services__version="1.0.0")
    assert course.ended.code == 3, course.ended.said
    routes = [r["weights"] for r in serving.history() if r.get("action") == "route" and "weights" in r]
    assert sorted(routes[-2].values()) == [50, 50]
    assert course.after == course.before


@pytest.mark.parametrize("metrics", [None, {"from": "nginx"}])
def test_a_release_without_metrics_is_judged_by_what_nginx_counted(
    serving: Project, metrics: dict[str, str] | None
) -> None:
    serving.set(services__env={"FAULT": "errors uncounted"}, services__version="2.0.0")
    serving.manifest["services"]["metrics"] = metrics
    serving.write()
    try:
        course = under_load(serving, "deploy", fine=frozenset({500}))
    finally:
        serving.set(services__metrics=None, services__env={}, services__version="1.0.0")
    assert course.ended.code == 3, course.ended.said
    assert "as nginx counted" in course.ended.err
    asked = [record["input"] for record in serving.history() if record["event"] == "verdict"][-1]
    counted = {name: value for name, value in asked["clients"].items() if name != "client_error_rate"}
    assert asked["window"] == (counted if metrics else None)


def test_errors_on_the_address_of_the_health_path_are_seen(serving: Project) -> None:
    serving.set(
        services__health={"path": "/", "interval": 0.2, "timeout": 20},
        services__env={"FAULT": "well for probes alone"},
        services__version="2.0.0",
    )
    try:
        course = under_load(serving, "deploy", fine=frozenset({500}))
    finally:
        serving.set(
            services__health={"interval": 0.2, "timeout": 20}, services__env={}, services__version="1.0.0"
        )
    assert course.ended.code == 3, course.ended.said
    assert "as nginx counted" in course.ended.err


@pytest.mark.parametrize("fault", ["dies", "exits at once"])
@pytest.mark.parametrize("change", ["nginx__private", "nginx__port"])
def test_a_failed_deploy_brings_back_the_nginx_settings_too(
    serving: Project, change: str, fault: str
) -> None:
    """A path that becomes private, and a port for which nginx must be restarted."""
    before, was = see(serving), serving.manifest["nginx"].get("port")
    value = ["/metrics", "/healthz"] if change == "nginx__private" else free_port()
    serving.set(
        **{change: value}, services__env={"FAULT": fault}, services__health={"passes": 60, "interval": 0.2}
    )
    try:
        ended = serving.run("deploy")
    finally:
        serving.set(
            nginx__private=None,
            nginx__port=was,
            services__env={},
            services__health={"interval": 0.2, "timeout": 20},
        )
    assert ended.code in {5, 6}, ended.said
    assert see(serving).answers == before.answers
    assert serving.run("plan", "--json").ok().document()["steps"] == []


def test_a_well_release_is_watched_for_the_interval_and_loses_no_request(serving: Project) -> None:
    serving.set(services__version="2.0.0")
    course = under_load(serving, "deploy").went()
    assert course.document["spent"]["gate"] >= ALL_AT_ONCE["interval"]
    steps = [
        r for r in serving.history() if r["event"] == "step" and r["run"] == serving.history()[-1]["run"]
    ]
    going = [r["action"] for r in steps[::2]]
    assert going.index("watch") < going.index("drain") < going.index("remove")


def test_nothing_is_watched_where_no_client_asks(serving: Project) -> None:
    serving.set(services__version="3.0.0")
    course = alone(serving, "deploy")
    course.ended.ok()
    assert course.document["spent"]["gate"] < ALL_AT_ONCE["interval"]
    assert "undecided at 100 %: no requests to the new release" in course.ended.err


@pytest.mark.parametrize("fault", ["errors", "dies later"])
def test_a_first_deploy_that_is_sick_is_taken_away(
    new_project: Callable[..., Project], engine: str, fault: str
) -> None:
    project = new_project(engine, policy__canary=CANARY, rollout=ALL_AT_ONCE)
    project.use_app(actor.PROGRAM)
    project.set(services__env={"FAULT": fault})
    with Load(project.port, fine=frozenset({500, 502, 503})):
        ended = project.run("deploy")
    assert ended.code == (6 if fault == "dies later" else 3), ended.said
    assert project.running() == {}


def test_while_a_share_is_watched_the_files_on_disk_are_the_way_back(serving: Project) -> None:
    """An nginx that starts again meanwhile gives all traffic to what served before."""
    serving.set(rollout={"steps": [50, 100], "interval": 60, "min_requests": 5}, services__version="4.0.0")
    before = see(serving)
    started = serving.start("deploy")
    try:
        until(lambda: "blue=50,green=50" in serving.generation(), "the split")
        until(lambda: "weight=100" in upstream(serving), "the way back on disk")
        assert "weight=50" not in upstream(serving)
        if serving.engine == "docker":
            serving.kill("nginx")
        else:
            started.process.send_signal(signal.SIGINT)
        ended = started.end()
    finally:
        serving.set(rollout=ALL_AT_ONCE, services__version="3.0.0")
    assert ended.code == (5 if serving.engine == "docker" else 130), ended.said
    after = see(serving)
    assert after.answers == before.answers
    assert serving.run("plan", "--json").ok().document()["steps"] == []


def upstream(project: Project) -> str:
    return (project.state / "nginx" / "upstream.conf").read_text()

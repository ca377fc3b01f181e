"""A step that ends undecided advances, goes back or is held, as rollout.undecided says."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.project import Project, make, until, used
from tests.e2e.rollover import actor
from tests.e2e.rollover.course import under_load
from tests.e2e.rollover.load import Load

CANARY = {"window": 1, "max_p99_ms": 5000}
HOLD = {"steps": [50, 100], "interval": 1, "min_requests": 0, "undecided": "hold"}


@pytest.fixture(scope="module")
def serving(engine: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    for project in used(make(tmp_path_factory.mktemp("e2e"), engine, policy__canary=CANARY, rollout=HOLD)):
        project.use_app(actor.PROGRAM)
        project.deploy()
        yield project


@pytest.fixture
def held(serving: Project) -> Iterator[Project]:
    """The project with version 2.0.0 held at half of the traffic."""
    serving.set(services__version="2.0.0", rollout=HOLD)
    ended = serving.run("deploy", "--json")
    assert ended.code == 10, ended.said
    assert ended.document()["error"]["kind"] == "Held"
    assert "canary: undecided by" in ended.err
    yield serving
    serving.set(services__version="1.0.0", services__env={}, rollout=HOLD | {"undecided": "advance"})
    serving.run("deploy", "--again").ok()


def versions(project: Project) -> set[str]:
    return {project.get("/").all("X-Version")[0] for _ in range(20)}


def test_a_held_rollout_keeps_its_share_and_is_named(held: Project) -> None:
    assert "=50" in held.generation()
    assert versions(held) == {"1.0.0", "2.0.0"}
    assert list((held.state / "counts").glob("*.log")) == []
    assert "is held" in held.run("plan").ok().said
    assert "is held" in held.run("status", "--json").ok().said
    assert [record["event"] for record in held.history()].count("held") >= 1


@pytest.mark.parametrize("verb", ["promote", "deploy"])
def test_the_next_verb_goes_on_with_the_next_share(held: Project, verb: str) -> None:
    first = held.run(verb, "--json")
    assert first.code == 10, first.said
    assert "100 %" in first.document()["error"]["message"]
    domains = [verdict["domain"] for verdict in first.document()["verdicts"]]
    assert domains == (["infrastructure", "isolation"] if verb == "deploy" else ["isolation"])
    assert versions(held) == {"2.0.0"}
    held.run(verb).ok()
    assert "=100,backup=," in held.generation()
    assert [r["version"] for r in held.history() if r["event"] == "confirmed"][-1] == "2.0.0"
    assert held.run("plan", "--json").ok().document()["steps"] == []


def test_a_rollback_of_a_held_rollout_keeps_the_confirmed_release(held: Project) -> None:
    held.run("rollback").ok()
    assert versions(held) == {"1.0.0"}
    assert "is held" not in held.run("plan").said


def test_another_manifest_begins_a_new_change(held: Project) -> None:
    held.set(services__version="3.0.0", rollout=HOLD | {"undecided": "advance"})
    held.run("deploy").ok()
    assert versions(held) == {"3.0.0"}


def test_a_held_release_that_turns_out_sick_goes_back(serving: Project) -> None:
    serving.set(services__version="2.0.0", services__env={"FAULT": "fails above 40/s"}, rollout=HOLD)
    assert serving.run("deploy").code == 10
    with Load(serving.port, fine=frozenset({500})):
        ended = serving.run("deploy")
    serving.set(services__version="1.0.0", services__env={})
    assert ended.code == 3, ended.said
    assert versions(serving) == {"1.0.0"}
    assert serving.run("plan", "--json").ok().document()["steps"] == []


def test_a_verb_that_is_killed_while_it_goes_on_is_undone_by_the_next(serving: Project) -> None:
    serving.set(services__version="2.0.0", rollout=HOLD | {"steps": [10, 50, 100], "interval": 4})
    assert serving.run("deploy").code == 10
    going_on = serving.start("deploy")
    until(lambda: "=50" in serving.generation(), "the next share is given")
    going_on.process.kill()
    going_on.process.communicate()
    serving.run("render").ok()
    assert versions(serving) == {"1.0.0"}


def test_an_undecided_release_goes_back_where_that_is_asked_for(serving: Project) -> None:
    serving.set(services__version="2.0.0", rollout=HOLD | {"undecided": "rollback"})
    ended = serving.run("deploy", "--json")
    serving.set(services__version="1.0.0")
    assert (ended.code, ended.document()["error"]["kind"]) == (3, "Undecided"), ended.said
    assert versions(serving) == {"1.0.0"}
    back = [record for record in serving.history() if record["event"] == "rolled_back"][-1]
    assert back["reason"]["kind"] == "Undecided"


def test_a_proven_release_ends_its_step_before_the_patience_is_over(serving: Project) -> None:
    proven = {"steps": [50, 100], "interval": 1, "min_requests": 0, "advance": "proven", "patience": 120}
    serving.set(
        services__version="2.0.0", rollout=proven, policy__canary={"window": 1, "max_error_rate": 0.2}
    )
    try:
        course = under_load(serving, "deploy")
    finally:
        serving.set(services__version="1.0.0", policy__canary=CANARY, rollout=HOLD | {"undecided": "advance"})
        serving.run("deploy", "--again")
    course.went(requests=20)
    words = [record["verdict"] for record in serving.history() if record.get("verdict")]
    assert "undecided" in words

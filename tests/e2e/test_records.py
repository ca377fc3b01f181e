"""Everything that was done is in the history: whole, in order, and provably untouched."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from typing import Any

import jsonschema
import pytest

from swiftdeploy_tasks.history.store import History
from tests.e2e import apps
from tests.e2e.project import SOURCE, Project, until
from tests.e2e.wire import status

SCHEMA = json.loads((SOURCE / "schema" / "history.schema.json").read_text())


def verified(project: Project) -> list[dict[str, Any]]:
    """The records, each one valid and the chain whole."""
    records = project.history()
    checker = jsonschema.Draft202012Validator(SCHEMA)
    for record in records:
        checker.validate(record)
    found = History(project.root / "history.jsonl", project.state).verify()
    assert found.ok, found.reason
    assert found.records == len(records)
    return records


def test_a_deploy_records_its_tasks_verdicts_and_steps_in_order(deployed: Project) -> None:
    records = verified(deployed)
    assert len({record["run"] for record in records}) == 1
    tasks = [
        (record["task"], record["event"]) for record in records if record["event"] in {"started", "finished"}
    ]
    assert tasks == [
        (task, event)
        for task in ("validate", "render", "policy-check", "deploy")
        for event in ("started", "finished")
    ]
    ends = [record for record in records if record["event"] == "finished"]
    assert {(end["outcome"], end["exit_code"]) for end in ends} == {("done", 0)}
    verdicts = [record for record in records if record["event"] == "verdict"]
    assert [verdict["domain"] for verdict in verdicts] == ["infrastructure", "isolation", "isolation"]
    for verdict in verdicts:
        assert verdict["outcome"] == "allowed"
        assert verdict["input"]["engine"] == deployed.engine
        assert verdict["limits"]
        assert (deployed.state / "policies" / verdict["revision"]).exists()
    steps = [record for record in records if record["event"] == "step"]
    assert steps
    assert max(verdict["seq"] for verdict in verdicts) < min(step["seq"] for step in steps)


def test_a_refusal_is_recorded_and_what_runs_goes_on(deployed: Project) -> None:
    before = deployed.running()
    deployed.set(policy__infrastructure__min_disk_free_gb=9_000_000, services__version="2.0.0")
    try:
        assert deployed.run("deploy").code == 3
    finally:
        deployed.set(policy__infrastructure__min_disk_free_gb=0.001, services__version="1.0.0")
    assert deployed.running() == before
    assert deployed.get("/").json()["version"] == "1.0.0"
    records = verified(deployed)
    mine = [record for record in records if record["run"] == records[-1]["run"]]
    verdict = next(record for record in mine if record["event"] == "verdict")
    assert (verdict["outcome"], verdict["limits"]["min_disk_free_gb"]) == ("refused", 9_000_000)
    assert verdict["input"]["host"]
    assert (mine[-1]["task"], mine[-1]["outcome"], mine[-1]["exit_code"]) == ("policy-check", "refused", 3)


def test_a_failed_check_is_recorded(deployed: Project) -> None:
    deployed.set(services__process=5)
    try:
        assert deployed.run("deploy").code == 2
    finally:
        deployed.set(services__process=None)
    last = verified(deployed)[-1]
    assert (last["task"], last["event"], last["outcome"], last["exit_code"]) == (
        "validate",
        "finished",
        "failed",
        2,
    )


@pytest.mark.parametrize(
    ("engine", "number"),
    [("local", signal.SIGINT), ("local", signal.SIGTERM), ("docker", signal.SIGINT)],
    ids=["local-SIGINT", "local-SIGTERM", "docker-SIGINT"],
)
def test_an_interrupted_first_deploy_says_so_and_leaves_nothing(
    new_project: Callable[..., Project], engine: str, number: signal.Signals
) -> None:
    project = new_project(engine)
    project.use_app(apps.MUTE)
    started = project.start("deploy", "--json")
    until(lambda: status(project.port, "/") == 503, "nginx is up and has no slot to send to", seconds=40)
    answer = project.get("/")
    assert set(answer.json()) == {"error", "code", "service", "contact"}
    assert (answer.json()["code"], answer.all("X-Deployed-By")) == (503, ["swiftdeploy"])
    started.process.send_signal(number)
    ended = started.end()
    assert ended.code == 130, ended.said
    document = ended.document()
    assert (document["task"], document["exit_code"], document["ok"]) == ("deploy", 130, False)
    assert document["error"]["kind"] == "Interrupted"
    assert project.left() == []
    last = verified(project)[-1]
    assert (last["task"], last["event"], last["outcome"], last["exit_code"]) == (
        "deploy",
        "finished",
        "interrupted",
        130,
    )


def test_a_history_that_cannot_be_written_stops_deploy_and_not_teardown(
    new_project: Callable[..., Project],
) -> None:
    project = new_project("local")
    (project.root / "history.jsonl").mkdir()
    try:
        ended = project.run("deploy")
        assert ended.code == 7, ended.said
        assert project.left() == []
        project.run("teardown").ok()
    finally:
        (project.root / "history.jsonl").rmdir()

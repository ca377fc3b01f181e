"""audit reports a day under load, with a dashboard beside it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from swiftdeploy_tasks.history.store import History
from swiftdeploy_tasks.report.formatting import rounded
from tests.e2e.project import Ended, Project, make, until, used
from tests.e2e.rollover.load import Load
from tests.e2e.terminal import Terminal
from tests.report.test_markdown import Rendered

LIMITS = {"window": 2, "max_error_rate": 0.05, "max_p99_ms": 5000}
Table = list[list[str]]


def records(project: Project, **wanted: Any) -> list[dict[str, Any]]:
    return [r for r in project.history() if all(r.get(key) == value for key, value in wanted.items())]


def run_a_day(project: Project) -> None:
    """Deploy, chaos, a promote that is refused, a promote, a rollback: under load, with status beside."""
    project.set(services__mode="canary", policy__canary=LIMITS, rollout={"steps": [50, 100], "interval": 1})
    project.deploy()
    beside = Terminal(project.root, "status", "--interval", "1")
    with closing(beside), Load(project.port, fine=frozenset({500})):
        slot = "/slots/blue/chaos"
        project.operator(slot, method="POST", body=b'{"mode": "error", "rate": 0.5}')
        until(lambda: bool(records(project, event="chaos", outcome="seen")), "chaos was seen")
        refused = project.run("promote", "--mode", "stable")
        assert refused.code == 3, refused.said
        project.operator(slot, method="POST", body=b'{"mode": "recover"}')
        until(lambda: bool(records(project, event="chaos", outcome="gone")), "chaos was over")
        promoted = Ended(3, "", "")
        for _ in range(5):
            # The window before a change has to be past the chaos.
            promoted = promoted if promoted.code == 0 else project.run("promote", "--mode", "stable")
        promoted.ok()
        project.run("rollback").ok()
        assert beside.end() == 0


@pytest.fixture(scope="module")
def day(engine: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    for project in used(make(tmp_path_factory.mktemp("e2e"), engine)):
        run_a_day(project)
        yield project


@pytest.fixture(scope="module")
def tables(day: Project) -> list[Table]:
    """The tables of the report: summary, timeline, violations, changes, and what each change did."""
    ended = day.run("audit", "--json").ok()
    assert ended.document()["verified"] is True
    return Rendered(Path(ended.document()["report"]).read_text(encoding="utf-8")).tables


def test_the_timeline_tells_all_that_happened_in_order(day: Project, tables: list[Table]) -> None:
    told = [row[2] for row in tables[1][1:]]
    stable, canary = "version 1.0.0 (stable)", "version 1.0.0 (canary)"
    course = [
        (f"deploy: {canary}", "confirmed"),
        ("chaos error seen in app-blue", ""),
        ("promote refused: max_error_rate", "nothing that runs was changed"),
        ("chaos error gone in app-blue", ""),
        (f"promote: {stable}", "confirmed, after version 1.0.0 (canary)"),
        ("mode changed from canary to stable", ""),
        (f"rollback: {canary}", "confirmed, after version 1.0.0 (stable)"),
        ("mode changed from stable to canary", ""),
    ]
    at = -1
    for start, holds in course:
        rest = list(enumerate(told))[at + 1 :]
        later = [number for number, what in rest if what.startswith(start) and holds in what]
        assert later, (start, told)
        at = later[0]
    begins = {r["run"]: r["seq"] for r in records(day, event="started") if r["argv"] != "status"}
    ends = {r["run"]: r["seq"] for r in records(day, event="finished")}
    drifted = [r["seq"] for r in records(day, event="drift", task="status")]
    assert not [seq for seq in drifted for run in begins if begins[run] < seq < ends.get(run, 0)]
    assert any(what.startswith("the running release breaks canary rules: error rate") for what in told), told


def test_every_violation_is_reported_with_its_rule_figures_and_revision(
    day: Project, tables: list[Table]
) -> None:
    refused = records(day, event="verdict", outcome="refused")[0]
    (check,) = [check for check in refused["checks"] if not check["passed"]]
    rows = [row for row in tables[2][1:] if row[1] == "promote"]
    time, _, domain, rule, observed, limit, message, revision, seq = rows[0]
    assert time == refused["time"].replace("T", " ")[:19]
    assert (domain, rule, limit) == ("canary, before", "max_error_rate", "5 %")
    assert abs(float(observed.removesuffix(" %")) - 100 * check["observed"]) < 0.01
    assert (message, revision, seq) == (rounded(check["message"]), refused["revision"], str(refused["seq"]))
    assert any(row[1] == "status" for row in tables[2][1:])


def test_every_change_is_reported_with_its_user_release_time_and_outcome(
    day: Project, tables: list[Table]
) -> None:
    who = records(day, event="started")[0]["who"]
    by = f"{who['user']} on {who['host']}"
    ran = [r["argv"] for r in records(day, event="started") if r["task"] == r["argv"]]
    rows = tables[3][1:]
    asked = {"deploy": "deploy", "promote": "promote --mode stable", "rollback": "rollback"}
    assert [row[1] for row in rows] == [asked[verb] for verb in ran if verb in asked]
    assert {row[2] for row in rows} == {by}
    deploy, refused, *_, promote, rollback = rows
    assert (deploy[3], deploy[4], deploy[6]) == ("", "1.0.0 (canary)", "✓ done, exit 0")
    assert refused[6] == "✗ refused, exit 3"
    assert (promote[3], promote[4], promote[6]) == ("1.0.0 (canary)", "1.0.0 (stable)", "✓ done, exit 0")
    assert (rollback[3], rollback[4], rollback[6]) == ("1.0.0 (stable)", "1.0.0 (canary)", "✓ done, exit 0")
    summary = dict(tables[0][1:])
    assert summary["Deploys"] == "1 (1 done)"
    assert summary["Rollbacks"] == "1 (1 done)"
    assert int(summary["Records"].partition(" (")[0]) >= len(records(day)) - 2


def test_the_steps_of_a_change_are_reported_with_their_shares(day: Project, tables: list[Table]) -> None:
    shares = [[row[2] for row in table[1:]] for table in tables[4:] if table[0][1] == "Step"]
    promote = shares[1]
    assert "blue 50 %, green 50 %" in promote
    assert promote[-1] == "green 100 %"
    assert {row[4] for table in tables[4:] if table[0][1] == "Step" for row in table[1:]} == {"✓ done"}


def test_each_line_that_is_removed_is_missed_the_last_one_too(
    day: Project, tmp_path: Path, tables: list[Table]
) -> None:
    whole = (day.root / "history.jsonl").read_bytes().splitlines(keepends=True)
    shutil.copytree(day.state, tmp_path / "state", ignore=shutil.ignore_patterns("run", "logs"))
    place = tmp_path / "history.jsonl"
    for gone in range(len(whole)):
        place.write_bytes(b"".join(whole[:gone] + whole[gone + 1 :]))
        found = History(place, tmp_path / "state").verify()
        assert (found.ok, found.first_bad) == (False, gone + 1)


def test_audit_names_the_line_that_was_removed_and_ends_with_7(
    day: Project, tmp_path: Path, tables: list[Table]
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(day.root, copy, ignore=shutil.ignore_patterns("run", "*.sock"))
    lines = (copy / "history.jsonl").read_text().splitlines(keepends=True)
    (copy / "history.jsonl").write_text("".join(lines[:-1]))
    ended = day.run("audit", "--json", folder=copy)
    document = ended.document()
    assert (ended.code, document["first_bad"]) == (7, len(lines)), ended.said
    assert json.loads(lines[-1])["seq"] == document["records"] + 1
    assert f"Line {len(lines)} of history.jsonl" in (copy / "audit_report.md").read_text()

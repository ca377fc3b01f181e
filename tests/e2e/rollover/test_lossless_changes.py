"""The whole way of a service under load: a new version, a canary, back, a sick canary, and the ways out.

One project lives through it; each test looks at one part of what was seen on the way.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from swiftdeploy_tasks.report.formatting import rounded
from tests.e2e.project import SOURCE, Project, make, pause, used
from tests.e2e.rollover.course import CANARY, ROLLOUT, Course, alone, under_load
from tests.e2e.test_records import verified

CHANGES = ("deploy", "to canary", "to stable", "back to canary", "out of a sick canary", "to the first")
KEYS = {"task", "ok", "exit_code", "error", "engine", "verdicts", "release", "previous", "mode", "version"}
KEYS |= {"slot", "url", "duration_s", "spent"}
BROKEN = "package swiftdeploy.canary\n\ndecision := {\n"


def decorate(project: Project) -> None:
    """Give the manifest all that a rewriting of it could spoil, and keep the policies out of the image."""
    shutil.copy(SOURCE / ".dockerignore", project.root)
    path = project.root / "manifest.yaml"
    text = path.read_text().replace(
        "services:\n",
        "services: # mode: canary\n  env: {DECOY_MODE: 'stable', mode: \"stable\"}\n"
        "  mode: 'stable'   # stable or canary\n",
        1,
    )
    text = text.replace("version: 1.0.0", 'version: "1.0.0"')
    path.write_bytes(("# mode: stable\n" + text + "\n# mode: stable").replace("\n", "\r\n").encode())


def chaos(project: Project, **order: object) -> None:
    answer = project.get("/chaos", method="POST", body=json.dumps(order).encode())
    assert answer.status == 200, answer.body


@pytest.fixture(scope="module")
def lived(
    engine: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Project, dict[str, Course]]]:
    """In one, so that a course that broke off is tried again on a project of its own."""
    changes = {"policy__canary": CANARY, "rollout": ROLLOUT}
    for project in used(make(tmp_path_factory.mktemp("e2e"), engine, **changes)):
        decorate(project)
        project.deploy()
        yield project, _course(project)


@pytest.fixture(scope="module")
def living(lived: tuple[Project, dict[str, Course]]) -> Project:
    return lived[0]


@pytest.fixture(scope="module")
def course(lived: tuple[Project, dict[str, Course]]) -> dict[str, Course]:
    return lived[1]


def _course(project: Project) -> dict[str, Course]:
    seen: dict[str, Course] = {}
    path = project.root / "manifest.yaml"
    path.write_bytes(path.read_bytes().replace(b'"1.0.0"', b'"2.0.0"'))
    seen["deploy"] = under_load(project, "deploy")
    seen["plan after deploy"] = alone(project, "plan")
    seen["to canary"] = under_load(project, "promote")
    seen["plan after promote"] = alone(project, "plan")
    seen["to stable"] = under_load(project, "promote", "--mode", "stable")
    seen["back to canary"] = under_load(project, "rollback")
    chaos(project, mode="error", rate=0.9)
    seen["refused"] = under_load(project, "promote", "--mode", "stable", fine=frozenset({500}), before=2)
    if project.engine == "docker":
        pause(f"{project.name}-opa")
    seen["out of a sick canary"] = under_load(project, "rollback", fine=frozenset({500}))
    seen["deploy of what rollback brought back"] = alone(project, "deploy")
    (project.root / "policies").mkdir()
    (project.root / "policies" / "canary.rego").write_text(BROKEN)
    seen["to the first"] = under_load(project, "rollback")
    (project.root / "policies" / "canary.rego").unlink()
    (project.root / "policies").rmdir()
    seen["plan after rollback"] = alone(project, "plan", "--check")
    seen["list"] = alone(project, "rollback", "--list")
    for verb in ("rollback", "promote", "deploy"):
        seen[f"{verb} at the bottom"] = alone(project, verb)
    seen["deploy again"] = under_load(project, "deploy", "--again")
    return seen


@pytest.mark.parametrize("change", [*CHANGES, "deploy again"])
def test_no_request_fails_while_the_release_changes(course: dict[str, Course], change: str) -> None:
    course[change].went()


EXPECTED: dict[str, tuple[str, str]] = {
    "deploy": ("2.0.0", "stable"),
    "to canary": ("2.0.0", "canary"),
    "to stable": ("2.0.0", "stable"),
    "back to canary": ("2.0.0", "canary"),
    "refused": ("2.0.0", "canary"),
    "out of a sick canary": ("2.0.0", "stable"),
    "to the first": ("1.0.0", "stable"),
    "deploy again": ("2.0.0", "stable"),
}


@pytest.mark.parametrize("change", EXPECTED)
def test_a_visitor_sees_each_change(course: dict[str, Course], change: str) -> None:
    version, mode = EXPECTED[change]
    assert course[change].after.answer == (version, mode, ("canary",) if mode == "canary" else ())
    assert (course[change].document["version"], course[change].document["mode"]) == (
        ("2.0.0", "stable") if change == "refused" else (version, mode)
    )


@pytest.mark.parametrize("change", [*CHANGES, "deploy again"])
def test_nginx_is_never_restarted(course: dict[str, Course], change: str) -> None:
    assert course[change].after.nginx == course[change].before.nginx


def test_promote_changes_one_scalar_of_the_manifest_and_nothing_else(course: dict[str, Course]) -> None:
    before, after = course["to canary"].before.manifest, course["to canary"].after.manifest
    assert after == before.replace(b"  mode: 'stable'   #", b"  mode: 'canary'   #")
    assert before.count(b"\r\n") == before.count(b"\n") > 20
    assert course["to stable"].after.manifest == before
    assert course["back to canary"].after.manifest == after
    assert course["out of a sick canary"].after.manifest == before


def test_nothing_is_left_to_do_after_deploy_and_promote(course: dict[str, Course]) -> None:
    for verb in ("deploy", "promote"):
        document = course[f"plan after {verb}"].document
        assert (document["in_sync"], document["steps"]) == (True, []), document


def test_promote_renders_the_files_at_the_root(course: dict[str, Course]) -> None:
    files = course["plan after promote"].document["files"]
    assert {file["state"] for file in files} == {"unchanged"}


def test_a_sick_canary_is_not_made_stable_and_nothing_changed(course: dict[str, Course]) -> None:
    refused = course["refused"]
    assert refused.ended.code == 3, refused.ended.said
    assert refused.before == refused.after
    assert refused.document["error"]["kind"] == "PolicyRefused"
    assert "swiftdeploy rollback" in refused.ended.err
    verdict = refused.document["verdicts"][-1]
    check = next(check for check in verdict["checks"] if check["rule"] == "max_error_rate")
    assert check["passed"] is False
    assert 0.5 < check["observed"] <= 1
    assert check["limit"] == 0.01
    assert "requests over" in check["message"]
    assert rounded(check["message"]) in refused.ended.err
    assert refused.load.seen["500 canary"] > 50


def test_rollback_restarts_an_opa_that_does_not_answer_and_asks_it(course: dict[str, Course]) -> None:
    verdict, isolation = course["out of a sick canary"].document["verdicts"]
    assert [(check["rule"], check["passed"]) for check in verdict["checks"]] == [("rollback", True)]
    assert "requests over" in verdict["checks"][0]["message"]
    assert (isolation["domain"], isolation["allow"]) == ("isolation", True)


def test_rollback_goes_on_without_a_policy_engine_and_says_so(course: dict[str, Course]) -> None:
    assert "canary gave no answer" in course["to the first"].ended.err
    assert course["to the first"].document["verdicts"] == []


def test_what_a_rollback_brought_back_is_in_sync_and_may_be_deployed(course: dict[str, Course]) -> None:
    assert course["deploy of what rollback brought back"].ended.ok().err.count("nothing to do") == 1


def test_a_rollback_says_exactly_what_now_differs(course: dict[str, Course]) -> None:
    assert "differs from what runs in: version;" in course["to the first"].ended.err
    assert "differs" not in course["out of a sick canary"].ended.err
    document = course["plan after rollback"].document
    assert (course["plan after rollback"].ended.code, document["in_sync"]) == (9, False)
    start = next(step for step in document["steps"] if step["action"] == "start")
    assert "2.0.0" in start["reason"] and "1.0.0" in start["reason"]
    assert "--again" in course["plan after rollback"].ended.err


def test_below_the_first_release_there_is_nothing(course: dict[str, Course]) -> None:
    bottom = course["rollback at the bottom"]
    assert bottom.ended.code == 2, bottom.ended.said
    assert bottom.before == bottom.after
    assert bottom.document["error"]["next"]


def test_promote_refuses_when_the_manifest_gives_another_release(course: dict[str, Course]) -> None:
    refused = course["promote at the bottom"]
    assert refused.ended.code == 2, refused.ended.said
    assert "invoke deploy" in refused.document["error"]["next"]
    assert refused.before == refused.after


def test_what_a_rollback_removed_is_deployed_only_again(course: dict[str, Course]) -> None:
    refused = course["deploy at the bottom"]
    assert refused.ended.code == 2, refused.ended.said
    assert "--again" in refused.document["error"]["next"]
    assert refused.before == refused.after


def test_the_list_has_a_row_for_each_confirmation(course: dict[str, Course]) -> None:
    rows = course["list"].document["releases"]
    assert {frozenset(row) for row in rows} == {
        frozenset({"release", "mode", "version", "since", "until", "rolled_back"})
    }
    assert [(row["version"], row["mode"], row["rolled_back"]) for row in rows] == [
        ("1.0.0", "stable", False),
        ("2.0.0", "stable", True),
        ("2.0.0", "canary", True),
        ("2.0.0", "stable", True),
    ]
    assert rows[0]["until"] is None
    assert [row["until"] for row in rows[1:]].count(None) == 0
    assert rows[1]["release"] == rows[3]["release"]
    assert sorted(rows, key=lambda row: row["since"]) == rows


@pytest.mark.parametrize("change", [*CHANGES, "refused", "rollback at the bottom"])
def test_each_change_is_one_document_with_the_agreed_keys(course: dict[str, Course], change: str) -> None:
    document = course[change].document
    assert set(document) == KEYS
    assert document["exit_code"] == course[change].ended.code
    assert document["engine"] in ("docker", "local")
    if change in CHANGES:
        spent: dict[str, Any] = document["spent"]
        assert {"start", "health", "switch", "drain"} <= set(spent)
        assert 0 < sum(spent.values()) <= document["duration_s"] + 0.1
        assert document["release"] != document["previous"]


@pytest.fixture(scope="module")
def runs(living: Project, course: dict[str, Course]) -> list[list[dict[str, Any]]]:
    """The records of the verbs that changed what runs, one list a verb, in order."""
    by_run: dict[str, list[dict[str, Any]]] = {}
    for record in verified(living):
        by_run.setdefault(record["run"], []).append(record)
    return [records for records in by_run.values() if any(record["event"] == "step" for record in records)]


def test_every_change_ends_by_recording_a_scrape(runs: list[list[dict[str, Any]]]) -> None:
    assert len(runs) == 1 + len(CHANGES) + 1
    for records in runs:
        scrape, finished = records[-2:]
        assert (scrape["event"], scrape["outcome"], finished["event"]) == ("scrape", "done", "finished")
        (there,) = filter(None, scrape["slots"].values())
        assert there["counters"]["uptime"] > 0
        assert (there["weight"], there["healthy"]) == (100, True)
        assert next(r["release"] for r in records if r["event"] == "target") == there["release"]


def test_every_verdict_on_a_slot_is_kept_with_its_window(runs: list[list[dict[str, Any]]]) -> None:
    verdicts = [
        [r for r in records if r["event"] == "verdict" and r.get("input", {}).get("window")]
        for records in runs[1:]
    ]
    phases = [[verdict["input"]["phase"] for verdict in one] for one in verdicts]
    for index, change in enumerate(CHANGES):
        watched = change in ("deploy", "to canary", "to stable")
        assert ("step_end" in phases[index]) is watched, change
    assert phases[CHANGES.index("to canary")][0] == "before"
    for verdict in (verdict for one in verdicts for verdict in one):
        assert verdict["input"]["window"]["seconds"] > 0
        assert verdict["input"]["window"]["requests"] >= 0
        assert verdict["limits"]["max_error_rate"] == 0.01
    assert any(verdict["input"]["window"]["requests"] > 20 for one in verdicts for verdict in one)


def test_a_question_without_an_answer_is_kept_too(runs: list[list[dict[str, Any]]]) -> None:
    asked = [r for r in runs[1 + CHANGES.index("to the first")] if r["event"] == "verdict"]
    assert [(r["domain"], r["outcome"]) for r in asked] == [
        ("canary", "unanswered"),
        ("isolation", "unanswered"),
    ]


def test_a_change_of_mode_is_kept(runs: list[list[dict[str, Any]]]) -> None:
    (mode,) = [r for r in runs[2] if r["event"] == "mode"]
    assert (mode["from"], mode["to"], mode["outcome"]) == ("stable", "canary", "done")
    (confirmed,) = [r for r in runs[2] if r["event"] == "confirmed"]
    assert (confirmed["mode"], confirmed["before"]["mode"]) == ("canary", "stable")
    assert (mode["release"], mode["version"]) == (confirmed["release"], confirmed["version"])


def test_every_step_is_kept_with_its_weights_and_how_it_ended(runs: list[list[dict[str, Any]]]) -> None:
    for records in runs:
        steps = [r for r in records if r["event"] == "step"]
        began, ended = steps[::2], steps[1::2]
        assert [(r["action"], r["target"]) for r in began] == [(r["action"], r["target"]) for r in ended]
        assert {r["outcome"] for r in began} == {None}
        assert {r["outcome"] for r in ended} == {"done"}
        assert all(sum(r["weights"].values()) in (0, 100) for r in began)
        spent = next(r["spent"] for r in records if r["event"] == "finished" and "spent" in r)
        assert abs(sum(r["seconds"] for r in ended) - sum(spent.values())) < 0.05

"""`--json`: one document on stdout whatever happens, with the agreed keys, and the exit code in it."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.project import COMMAND, Ended, Project

BASE = {"task", "ok", "exit_code", "error", "engine"}
CHANGE = {"verdicts", "release", "previous", "mode", "version", "slot", "url", "duration_s", "spent"}
KEYS = {
    "validate": {"checks"},
    "render": {"files"},
    "build": set(),
    "policy-check": {"verdicts"},
    "plan": {"in_sync", "steps", "files"},
    "deploy": CHANGE,
    "status": {"mode", "version", "url", "slots", "compliance", "drift"},
    "teardown": {"removed"},
}
CHECKS = ["manifest", "fields", "engine", "image", "port", "nginx", "compose", "env", "policies"]


def checked(ended: Ended, task: str, *, code: int = 0) -> dict[str, Any]:
    """The document, its common part verified."""
    assert ended.code == code, ended.said
    document = ended.document()
    assert set(document) == BASE | KEYS[task]
    assert (document["task"], document["exit_code"], document["ok"]) == (task, code, code == 0)
    if code == 0:
        assert document["error"] is None
    else:
        assert set(document["error"]) == {"kind", "message", "next"}
        assert document["error"]["message"] in ended.err
    return document


def test_what_validate_says(deployed: Project) -> None:
    document = checked(deployed.run("validate", "--json"), "validate")
    assert document["engine"] == deployed.engine
    assert [check["name"] for check in document["checks"]] == CHECKS
    assert {frozenset(check) for check in document["checks"]} == {
        frozenset({"name", "passed", "message", "next"})
    }
    unmade = {"compose"} if deployed.engine == "local" else set()
    assert {check["name"] for check in document["checks"] if check["passed"] is None} == unmade
    assert False not in {check["passed"] for check in document["checks"]}


def test_what_render_and_its_alias_say(deployed: Project) -> None:
    document = checked(deployed.run("render", "--json"), "render")
    assert [file["path"].rpartition("/")[2] for file in document["files"]] == [
        "nginx.conf",
        "docker-compose.yml",
    ]
    assert {file["state"] for file in document["files"]} == {"unchanged"}
    assert {frozenset(file) for file in document["files"]} == {frozenset({"path", "state", "diff"})}
    checked(deployed.run("init", "--json"), "render")


def test_what_build_says(deployed: Project) -> None:
    checked(deployed.run("build", "--json"), "build")


def test_what_policy_check_says(deployed: Project) -> None:
    verdicts = checked(deployed.run("policy-check", "--json"), "policy-check")["verdicts"]
    _check_verdicts(verdicts)


def _check_verdicts(verdicts: list[dict[str, Any]]) -> None:
    assert [verdict["domain"] for verdict in verdicts] == ["infrastructure", "isolation"]
    for verdict in verdicts:
        assert set(verdict) == {"domain", "allow", "revision", "answered_by", "duration_ms", "checks"}
        assert verdict["allow"] is True
        assert verdict["checks"]
        for check in verdict["checks"]:
            assert set(check) == {"rule", "passed", "observed", "limit", "message"}
    rules = {check["rule"]: check for check in verdicts[0]["checks"]}
    assert set(rules) == {"min_disk_free_gb", "max_load_per_core", "max_memory_used_percent"}
    for check in rules.values():
        assert {type(check["observed"]), type(check["limit"])} <= {int, float}


def test_what_plan_says(deployed: Project) -> None:
    document = checked(deployed.run("plan", "--json"), "plan")
    assert (document["in_sync"], document["steps"]) == (True, [])
    deployed.set(services__version="3.0.0")
    try:
        document = checked(deployed.run("plan", "--json"), "plan")
    finally:
        deployed.set(services__version="1.0.0")
    assert document["in_sync"] is False
    assert {frozenset(step) for step in document["steps"]} == {frozenset({"action", "target", "reason"})}
    changed = {file["path"].rpartition("/")[2]: file["diff"] for file in document["files"]}
    assert "3.0.0" in changed["docker-compose.yml"]


def test_what_deploy_says(deployed: Project) -> None:
    document = checked(deployed.run("deploy", "--json"), "deploy")
    _check_verdicts(document["verdicts"])
    assert (document["mode"], document["version"], document["slot"]) == ("stable", "1.0.0", "blue")
    assert document["url"] == f"http://127.0.0.1:{deployed.port}/"
    assert document["release"] == document["previous"]
    assert document["duration_s"] > 0


def test_what_status_says(deployed: Project) -> None:
    document = checked(deployed.run("status", "--json"), "status")
    assert (document["mode"], document["version"]) == ("stable", "1.0.0")
    assert document["url"] == f"http://127.0.0.1:{deployed.port}/"
    assert document["slots"]["green"] is None
    blue = document["slots"]["blue"]
    assert set(blue) == {"release", "mode", "version", "weight", "healthy", "chaos", "window"}
    assert (blue["version"], blue["weight"], blue["healthy"]) == ("1.0.0", 100, True)


def test_what_teardown_and_then_status_say(deployed: Project) -> None:
    """The last test that looks at `deployed`: nothing runs afterwards."""
    removed = checked(deployed.run("teardown", "--json"), "teardown")["removed"]
    assert [name for name in removed if name.endswith("app-blue")]
    document = checked(deployed.run("status", "--json"), "status")
    assert (document["mode"], document["version"], document["url"]) == (None, None, None)
    assert document["slots"] == {"blue": None, "green": None}


@pytest.mark.parametrize("verb", ["deploy", "render", "policy-check", "validate"])
def test_where_a_prerequisite_ends_it_the_document_is_that_ones(
    new_project: Callable[..., Project], verb: str
) -> None:
    project = new_project("local", nginx__prot=1)
    document = checked(project.run(verb, "--json"), "validate", code=2)
    fields = next(check for check in document["checks"] if check["name"] == "fields")
    assert fields["passed"] is False
    assert "prot" in fields["message"]
    assert document["error"]["next"]


@pytest.mark.parametrize("verb", ["build", "plan", "status"])
def test_a_verb_without_prerequisites_fails_with_its_own_document(
    new_project: Callable[..., Project], verb: str
) -> None:
    project = new_project("local", nginx__prot=1)
    document = checked(project.run(verb, "--json"), verb, code=2)
    assert document["error"]["kind"] == "ManifestError"


def test_no_project_at_all_is_one_document_too(new_project: Callable[..., Project], tmp_path: Path) -> None:
    empty = tmp_path / "nothing here"
    empty.mkdir()
    checked(new_project("local").run("deploy", "--json", folder=empty), "validate", code=2)
    assert list(empty.iterdir()) == []


def test_words_that_cannot_be_read_are_one_document_too(new_project: Callable[..., Project]) -> None:
    document = checked(new_project("local").run("deploy", "--json", "--soon"), "deploy", code=1)
    assert document["error"]["kind"] == "UsageError"
    assert "--soon" in document["error"]["message"]


def test_a_document_that_cannot_be_written_is_no_success(new_project: Callable[..., Project]) -> None:
    project = new_project("local")
    words = [str(COMMAND), "render", "--json"]
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        done = subprocess.run(words, cwd=project.root, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1
    assert "could not be written to stdout" in done.stderr
    assert (project.root / "nginx.conf").is_file()

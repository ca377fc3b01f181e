"""`plan` looks and changes nothing: no container, image, network, process or file."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.project import Project, docker

OURS = {"history.jsonl", "head.json", "history.lock", "lock"}


def tree(folder: Path) -> dict[str, str]:
    """Every file below the folder, with mode and content, less the history, its head and its locks."""
    return {
        str(path.relative_to(folder)): f"{path.lstat().st_mode:o} {_digest(path)}"
        for path in sorted(folder.rglob("*"))
        if path.name not in OURS
    }


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


def plan_leaves_no_trace(project: Project) -> None:
    """Plan, and hold the tree, what runs, and what the Docker Engine did against what was before."""
    (project.root / ".swiftdeploy").mkdir(mode=0o700, exist_ok=True)
    files, running, since = tree(project.root), project.running(), time.time()
    planned = project.run("plan", "--json")
    assert planned.code in {0, 2}, planned.said
    assert tree(project.root) == files
    assert project.running() == running
    if project.engine == "docker":
        assert done_to(project, since, time.time()) == []


def done_to(project: Project, since: float, until: float) -> list[str]:
    """What the Docker Engine did with anything of ours meanwhile, but for looking after its health."""
    words = ("--since", f"{since - 30:.3f}", "--until", f"{until:.3f}", "--format", "{{json .}}")
    events = [json.loads(line) for line in docker("events", *words).splitlines()]
    named = "{{.Config.Healthcheck.Test}}"
    tests = [docker("inspect", "-f", named, id).strip("[]\n") for id in project.containers().values()]
    checks = tuple(test.removeprefix("CMD ") for test in tests)
    health = {_exec(event) for event in events if checks and event["Action"].endswith(checks)}
    return [
        event["Action"]
        for event in events
        if project.name in json.dumps(event)
        and event["timeNano"] >= since * 1e9
        and not (event["Action"].startswith("health_status") or (_exec(event) and _exec(event) in health))
    ]


def _exec(event: dict[str, Any]) -> str:
    return str(event["Actor"]["Attributes"].get("execID", ""))


def test_plan_leaves_no_trace_in_any_state(project: Project) -> None:
    plan_leaves_no_trace(project)
    project.deploy()
    plan_leaves_no_trace(project)
    project.set(services__version="1.1.0", services__resources={"cpus": 0.5, "memory": "128m"})
    (project.root / "app" / "extra.py").write_text("new = 1\n")
    plan_leaves_no_trace(project)
    project.kill("nginx")
    plan_leaves_no_trace(project)
    project.set(nginx__prot=1)
    plan_leaves_no_trace(project)


def test_a_first_deploy_is_planned_from_an_empty_folder(project: Project) -> None:
    planned = project.run("plan", "--check", "--json")
    assert planned.code == 9
    document = planned.document()
    targets = [step["target"] for step in document["steps"]]
    assert targets[-6:] == ["app-blue", "app-blue", "nginx", "public port", "app-blue", "nginx"]
    assert document["error"]["kind"] == "WouldChange"
    assert {file["state"] for file in document["files"]} == {"created"}
    if project.engine == "docker":
        assert f"network {project.name}-net" in targets
        assert project.manifest["services"]["image"] in targets


@pytest.mark.parametrize(
    "trouble", ["a policy that does not compile", "a port that a stranger holds"], ids=lambda words: words[:6]
)
def test_what_deploy_would_refuse_hides_no_step(
    new_project: Callable[..., Project], trouble: str, tmp_path: Path
) -> None:
    project = new_project("local")
    if "policy" in trouble:
        (project.root / "policies").mkdir()
        (project.root / "policies" / "infrastructure.rego").write_text(
            "package swiftdeploy.infrastructure\n?\n"
        )
        (project.root / "policies" / "data.json").write_text("not JSON")
    else:
        stranger = new_project("local", nginx__port=project.port)
        stranger.deploy()
    planned = project.run("plan").ok()
    assert "app-blue     start     version 1.0.0 (stable)" in planned.out
    if "policy" in trouble:
        assert "deploy would be refused: " in planned.out

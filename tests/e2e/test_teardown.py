"""Teardown removes all that is ours from whatever state it finds, and nothing else."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from swiftdeploy_tasks.history.store import History
from tests.e2e.project import COMMAND, SECONDS, Project, docker, until


def _invalid_manifest(project: Project) -> None:
    (project.root / "manifest.yaml").write_text("services: [\n")


def _no_manifest(project: Project) -> None:
    (project.root / "manifest.yaml").unlink()


def _empty_state(project: Project) -> None:
    for path in project.state.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def _no_state(project: Project) -> None:
    shutil.rmtree(project.state)


DAMAGES = [_invalid_manifest, _no_manifest, _empty_state, _no_state]
CASES = [("local", damage) for damage in DAMAGES]
CASES += [("docker", damage) for damage in (_empty_state, _no_state)]


@pytest.mark.parametrize(("engine", "damage"), CASES)
def test_teardown_leaves_nothing_whatever_was_lost(
    new_project: Callable[..., Project], engine: str, damage: Callable[[Project], None]
) -> None:
    project = new_project(engine)
    project.deploy()
    assert project.left()
    damage(project)
    removed = project.run("teardown", "--json").ok().document()["removed"]
    assert len(removed) >= 2
    assert project.left() == []
    project.write()


def test_teardown_where_nothing_was_deployed_is_done(project: Project) -> None:
    document = project.run("teardown", "--json").ok().document()
    assert document["removed"] == []


def test_clean_removes_what_was_generated_and_keeps_the_history(
    new_project: Callable[..., Project],
) -> None:
    project = new_project("local")
    project.deploy()
    records = len(project.history())
    project.run("teardown", "--clean").ok()
    assert project.run("teardown", "--json").ok().document()["removed"] == []
    here = {path.name for path in project.root.iterdir()}
    assert not here & {"nginx.conf", "docker-compose.yml"}
    assert {"manifest.yaml", "app", "Dockerfile", "history.jsonl"} <= here
    assert not {path.name for path in project.state.iterdir()} & {
        "nginx",
        "compose.yml",
        "releases",
        "bundle",
        "logs",
        "run",
        "checked",
        "engine",
    }
    assert len(project.history()) > records
    verified = History(project.root / "history.jsonl", project.state).verify()
    assert verified.ok, verified.reason
    head = History(project.root / "history.jsonl", project.state).head()
    assert head is not None
    assert head.seq == len(project.history())


def _kill_when(project: Project, there: Callable[[], bool], what: str) -> None:
    started = project.start("deploy")
    try:
        until(there, what, seconds=40)
    finally:
        started.process.send_signal(signal.SIGKILL)
        started.process.communicate()


def test_teardown_after_a_killed_deploy_leaves_nothing(project: Project) -> None:
    _kill_when(project, lambda: bool(project.running()), "anything runs")
    project.run("teardown").ok()
    assert project.left() == []


def test_a_deploy_after_a_killed_one_serves(project: Project) -> None:
    _kill_when(project, lambda: "app-blue" in project.running(), "the app runs")
    project.deploy()
    assert project.get("/").json()["version"] == "1.0.0"
    assert project.run("plan", "--json").ok().document()["in_sync"]


def test_the_same_name_in_another_folder_is_refused_and_changes_nothing(
    project: Project, new_project: Callable[..., Project]
) -> None:
    project.deploy()
    rival = new_project(project.engine, name=project.name)
    ended = rival.run("deploy")
    assert ended.code == 2, ended.said
    assert str(project.state) in ended.said
    rival.run("teardown").ok()
    assert rival.left() == []
    assert project.get("/").status == 200


@pytest.mark.parametrize("kind", ["network", "volume"])
def test_a_network_or_volume_of_a_stranger_is_refused_and_stays(
    new_project: Callable[..., Project], kind: str
) -> None:
    project = new_project("docker")
    name = f"stranger-{project.name}"
    docker(kind, "create", name)
    try:
        project.set(**{"network__name" if kind == "network" else "services__log_volume": name})
        ended = project.run("deploy")
        assert ended.code == 2, ended.said
        assert name in ended.err
        key = "network.name" if kind == "network" else "services.log_volume"
        usual = f"{project.name}-net" if kind == "network" else f"{project.name}-logs"
        assert f"set {key}: {usual} in manifest.yaml" in ended.err
        project.run("teardown").ok()
        assert name in docker(kind, "ls", "--format", "{{.Name}}").split()
    finally:
        docker(kind, "rm", name)


def test_a_state_folder_elsewhere_is_used_and_torn_down(
    new_project: Callable[..., Project], tmp_path: Path
) -> None:
    project = new_project("local")
    elsewhere = tmp_path / "kept state"
    project.environment["INVOKE_SWIFTDEPLOY_STATE"] = str(elsewhere)
    project.deploy()
    assert project.get("/").status == 200
    assert (elsewhere / "history.jsonl").is_file()
    assert not project.state.exists()
    removed = project.run("teardown", "--json").ok().document()["removed"]
    assert {"nginx", "app-blue"} <= set(removed)


_REAPS_NOTHING = """
import ctypes, subprocess, sys, time
PR_SET_CHILD_SUBREAPER = 36
assert ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0
for verb in ("deploy", "teardown"):
    began = time.monotonic()
    subprocess.run([sys.argv[1], verb], check=True, stdout=subprocess.DEVNULL)
print(time.monotonic() - began)
"""


def test_teardown_does_not_wait_for_the_dead(new_project: Callable[..., Project]) -> None:
    """In a container a dead process may stay unreaped; teardown does not wait for it."""
    project = new_project("local")
    took = subprocess.run(
        [sys.executable, "-c", _REAPS_NOTHING, str(COMMAND)],
        cwd=project.root,
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert took.returncode == 0, took.stderr
    assert float(took.stdout) < 10

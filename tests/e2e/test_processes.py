"""Processes: apps that hide, that start others, that deploy themselves, and folders that are renamed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from swiftdeploy_tasks.engines.local import start_notes
from tests.e2e.project import COMMAND, Project, docker, until
from tests.e2e.wire import status
from tests.lab import require

PASSED_ON = "APP_PORT=$APP_PORT APP_HOST=$APP_HOST MODE=$MODE APP_VERSION=$APP_VERSION"


def lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_an_app_without_our_environment_is_served_replaced_and_ended_with_its_children(
    new_project: Callable[..., Project], tmp_path: Path
) -> None:
    project = new_project("local")
    noted = tmp_path / "pids"
    (project.root / "app" / "run.sh").write_text(
        f"echo $$ >> '{noted}'\nsleep 1000 &\necho $! >> '{noted}'\nexec python3 app/main.py\n"
    )
    hidden = f"exec env -i PATH=$PATH {PASSED_ON} sh app/run.sh"
    project.set(services__process=["sh", "-c", hidden])
    project.deploy()
    assert project.get("/").json()["version"] == "1.0.0"
    assert "nothing would change" in project.run("plan").ok().out
    first = [int(pid) for pid in noted.read_text().split()]
    assert all(map(lives, first))
    project.set(services__version="2.0.0", rollout__drain=12)
    project.deploy()
    assert project.get("/").json()["version"] == "2.0.0"
    assert not any(map(lives, first))
    removed = project.run("teardown", "--json").ok().document()["removed"]
    assert "app-green" in removed
    assert not any(lives(int(pid)) for pid in noted.read_text().split())


def test_a_service_whose_children_come_and_go_is_deployed_and_rolled_back(
    new_project: Callable[..., Project],
) -> None:
    words = "(while sleep 0.01; do /bin/true; done) & exec python3 app/main.py"
    project = new_project("local", services__process=["sh", "-c", words])
    for version in ("1.0.0", "2.0.0"):
        project.set(services__version=version)
        project.deploy()
    project.run("rollback").ok()
    assert project.get("/").json()["version"] == "1.0.0"


def _renamed(new_project: Callable[..., Project]) -> tuple[Project, list[int]]:
    """Deploy a project and rename its folder; return it, and the pids of what runs."""
    project = new_project("local")
    project.deploy()
    before = [int(pid) for pid in project.running().values()]
    project.root.rename(moved := project.root.with_name("q"))
    project.root = moved
    return project, before


def test_what_runs_is_found_after_the_project_s_folder_was_renamed(
    new_project: Callable[..., Project],
) -> None:
    project, before = _renamed(new_project)
    seen = project.run("status", "--json").ok().document()
    assert seen["slots"]["blue"]["version"] == "1.0.0"
    project.run("validate").ok()
    project.run("teardown").ok()
    assert not any(map(lives, before))
    assert status(project.port, "/") is None


def test_a_deploy_after_the_project_s_folder_was_renamed_replaces_what_ran(
    new_project: Callable[..., Project],
) -> None:
    project, before = _renamed(new_project)
    project.deploy()
    assert project.get("/").status == 200
    assert "nothing would change" in project.run("plan").ok().out
    assert not any(map(lives, before))


DEPLOYS_ITSELF = """
import http.server, json, os, subprocess, threading

def deploy():
    with open({said!r}, "w") as out:
        {call}

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/self":
            threading.Thread(target=deploy, daemon=True).start()
        body = json.dumps({{"status": "ok", "version": os.environ["APP_VERSION"]}}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *words):
        pass

http.server.ThreadingHTTPServer(
    (os.environ["APP_HOST"], int(os.environ["APP_PORT"])), Handler
).serve_forever()
"""
CALLS = {
    "into a file": "subprocess.run([{command!r}, 'deploy'], stdout=out, stderr=out)",
    "into a pipe": "subprocess.run([{command!r}, 'deploy'], capture_output=True)",
    "by a shell": "subprocess.run('{command} deploy; true', shell=True, stdout=out, stderr=out)",
}


@pytest.mark.parametrize("how", CALLS)
def test_an_app_can_deploy_its_own_next_release(
    new_project: Callable[..., Project], tmp_path: Path, how: str
) -> None:
    require("nginx")
    project = new_project("local", services__metrics=None)
    said = tmp_path / "said"
    call = CALLS[how].format(command=str(COMMAND))
    project.use_app(DEPLOYS_ITSELF.format(said=str(said), call=call))
    project.deploy()
    old = project.processes()["app-blue"]
    project.set(services__version="2.0.0")
    assert project.get("/self").status == 200
    until(lambda: len(_ends(project)) == 2, "two deploys have ended", seconds=60)
    assert _ends(project) == [0, 0], said.read_text()
    assert project.get("/").json()["version"] == "2.0.0"
    assert not lives(old)
    until(lambda: not _deploys(project), "the app's own deploy has ended", seconds=20)
    plan = project.run("plan", "--check")
    assert plan.code == 0, plan.out


def _deploys(project: Project) -> list[int]:
    """Return the pids of the deploys that work in the project's folder."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if "deploy" in process.cmdline() and Path(process.cwd()).is_relative_to(project.root):
                found.append(process.pid)
    return found


def _ends(project: Project) -> list[object]:
    ends = [record for record in project.history() if record["event"] == "finished"]
    return [record["exit_code"] for record in ends if record["task"] == "deploy"]


@pytest.mark.skipif(os.getuid() != 0, reason="needs root")
def test_teardown_stops_nothing_where_a_process_belongs_to_another_user(
    new_project: Callable[..., Project],
) -> None:
    project = new_project("local")
    project.deploy()
    marks = {"SWIFTDEPLOY_HOME": str(project.state), "SWIFTDEPLOY_SLOT": "green"}
    with subprocess.Popen(["sleep", "600"], user=65534) as other:
        start_notes.note(project.state, other.pid, marks)
        note = project.state / "run" / "started" / f"{other.pid}.json"
        note.write_text(json.dumps(json.loads(note.read_text()) | {"user": 65534}))
        before = project.running()
        ended = project.run("teardown")
        other.kill()
    assert ended.code == 2, ended.said
    assert f"app-green (pid {other.pid}) was started by nobody" in ended.err
    assert project.running() == before


def test_containers_of_a_renamed_folder_are_named_and_removed(new_project: Callable[..., Project]) -> None:
    project = new_project("docker")
    project.deploy()
    former, names = project.state, sorted(project.containers())
    project.root.rename(moved := project.root.with_name("q"))
    project.root = moved
    refused = project.run("deploy")
    assert refused.code == 2
    assert f"were started in {former}, before its folder was renamed" in refused.err
    assert "next: swiftdeploy teardown, then: swiftdeploy deploy" in refused.err
    removed = project.run("teardown", "--json").ok().document()["removed"]
    assert sorted(set(removed) & set(names)) == names
    assert docker("ps", "-aq", "--filter", f"label=swiftdeploy.home={former}") == ""
    assert status(project.port, "/") is None


def test_containers_of_a_copy_of_a_state_folder_stay(new_project: Callable[..., Project]) -> None:
    project = new_project("docker")
    project.deploy()
    copy = Project(project.root.with_name("copy"), "docker", project.name, project.manifest)
    shutil.copytree(project.root, copy.root)
    assert "belongs to the project whose state is" in copy.run("validate").err
    copy.run("teardown").ok()
    assert project.get("/").status == 200

"""What happens around a verb: parts that die under it, and a state folder that is gone."""

from __future__ import annotations

import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.e2e.chaos.trial import LAUNCH
from tests.e2e.project import Project, until
from tests.e2e.rollover.load import Load
from tests.e2e.test_records import verified
from tests.e2e.wire import status


def serves(project: Project, version: str) -> None:
    """The version answers, alone, and there is nothing left to do."""
    assert project.get().all("X-Deployed-By") == ["swiftdeploy"]
    assert f'"version": "{version}"' in project.get().body.decode()
    assert len([part for part in project.running() if part.startswith("app-")]) == 1
    project.run("plan", "--check").ok()


@pytest.mark.parametrize(
    ("engine_name", "part"), [("docker", "nginx"), ("local", "app-blue"), ("local", "app-green")]
)
def test_a_part_that_dies_while_a_release_takes_over_is_put_right_by_the_next_deploy(
    new_project: Callable[..., Project], engine_name: str, part: str
) -> None:
    project = new_project(engine_name)
    project.deploy()
    project.set(services__version="2.0.0", services__health={"interval": 0.5, "timeout": 10})
    started = project.start("deploy")
    until(lambda: {"nginx", "app-blue", "app-green"} <= set(project.running()), "both slots are there")
    project.kill(part)
    assert started.end().code in {0, 5, 6}
    project.deploy()
    serves(project, "2.0.0")


def test_deploy_recreates_a_lost_state_folder(project: Project) -> None:
    project.deploy()
    shutil.rmtree(project.state)
    document = project.run("status", "--json").ok().document()
    assert document["version"] == "1.0.0"
    assert "nginx" in [deed["target"] for deed in document["drift"]]
    ended = project.deploy()
    if project.engine == "docker":
        assert "connections are cut" in ended.out
    serves(project, "1.0.0")
    assert project.run("rollback").code == 2


@pytest.mark.parametrize("engine_name", ["docker"])
def test_with_the_state_lost_and_nginx_dead_the_app_that_answers_is_kept(
    new_project: Callable[..., Project], engine_name: str
) -> None:
    """No record names it any more: it is asked past nginx."""
    project = new_project(engine_name)
    project.deploy()
    app = project.running()["app-blue"]
    shutil.rmtree(project.state)
    project.stop("nginx")
    project.deploy()
    serves(project, "1.0.0")
    assert project.running()["app-blue"] == app


@pytest.mark.parametrize(
    ("engine_name", "verb"), [("local", "promote"), ("local", "rollback"), ("docker", "promote")]
)
def test_a_verb_that_was_killed_when_it_was_as_good_as_done_is_finished_though_nginx_died_too(
    new_project: Callable[..., Project], engine_name: str, verb: str
) -> None:
    project = new_project(engine_name, policy__canary={"window": 1})
    project.deploy()
    if verb == "rollback":
        project.set(services__version="2.0.0")
        project.deploy()
    killed = project.start_as([sys.executable, str(LAUNCH), "confirm the release"], verb).end()
    assert killed.code == -9
    (slot,) = set(project.running()) & {"app-blue", "app-green"}
    serving = project.running()[slot]
    project.stop("nginx")
    project.run(verb).ok()
    said = project.get("/healthz").json()
    assert (said["version"], said["mode"]) == ("1.0.0", "canary" if verb == "promote" else "stable")
    assert project.running()[slot] == serving


def test_an_nginx_that_dies_under_a_deploy_is_not_waited_for_and_started_again(
    new_project: Callable[..., Project],
) -> None:
    """The new app would never be found healthy through it, and has a minute for that."""
    project = new_project("local", services__health={"interval": 0.5, "timeout": 60})
    project.deploy()
    project.set(services__version="2.0.0", services__health={"interval": 4, "timeout": 60})
    started = project.start("deploy")
    until(lambda: "app-green" in project.running(), "the new slot is there")
    until(lambda: status(project.operator_port, "/slots/green/healthz") == 200, "it answers")
    project.stop("nginx")
    ended = started.end(seconds=50)
    assert ended.code == 5, ended.said
    assert "nginx does not run any more" in ended.err
    assert project.get("/healthz").json()["version"] == "1.0.0"
    assert set(project.running()) == {"nginx", "app-blue"}


def test_an_undo_takes_back_what_it_started_in_the_place_of_a_leftover(
    new_project: Callable[..., Project],
) -> None:
    project = new_project("local", services__health={"interval": 0.2, "timeout": 3})
    project.deploy()
    project.set(services__version="2.0.0")
    assert project.start_as([sys.executable, str(LAUNCH), "wait app-*"], "deploy").end().code == -9
    (project.state / "target.json").unlink()
    assert "app-green" in project.running()
    project.use_app("import time\ntime.sleep(600)\n")
    assert project.run("deploy").code == 6
    assert set(project.running()) == {"nginx", "app-blue"}
    assert project.get("/healthz").json()["version"] == "1.0.0"


def test_an_undo_leaves_the_new_slot_where_the_old_one_died_meanwhile(
    new_project: Callable[..., Project],
) -> None:
    project = new_project("local", rollout={"steps": [50, 100], "interval": 30})
    project.deploy()
    project.set(services__version="2.0.0")
    started = project.start("deploy")
    until(lambda: project.generation().startswith("blue=50,green=50"), "both take traffic")
    project.stop("app-blue")
    started.process.send_signal(signal.SIGINT)
    assert started.end().code == 130
    assert project.get("/healthz").json()["version"] == "2.0.0"
    project.deploy()
    serves(project, "2.0.0")


@pytest.mark.parametrize("verb", ["deploy", "rollback"])
def test_who_dies_just_after_it_took_over_is_found_while_there_is_a_way_back(
    new_project: Callable[..., Project], verb: str
) -> None:
    """The drain is too short for a look, so there is one more look at its end."""
    project = new_project("local")
    project.deploy()
    project.set(services__version="2.0.0")
    if verb == "rollback":
        project.deploy()
    version = project.get("/healthz").json()["version"]
    old, new = ("blue", "green") if verb == "deploy" else ("green", "blue")
    ended = project.start_as([sys.executable, str(LAUNCH), "drain app-*"], verb, STRIKE_SLOT=new).end()
    assert ended.code == 6, ended.said
    assert project.get("/healthz").json()["version"] == version
    assert set(project.running()) == {"nginx", f"app-{old}"}


def test_what_was_done_and_put_right_is_on_record(project: Project) -> None:
    project.deploy()
    project.stop("app-blue")
    project.deploy()
    serves(project, "1.0.0")
    rows = [row for row in verified(project) if row["event"] == "drift"]
    assert [row["outcome"] for row in rows] == ["found", "mended"]
    assert (rows[0]["target"], rows[0]["expected"], rows[1]["targets"]) == (
        "app-blue",
        "running",
        ["app-blue"],
    )


def test_a_verb_interrupted_while_nginx_is_still_loading_takes_that_back_before_the_slot_goes(
    new_project: Callable[..., Project],
) -> None:
    project = new_project("local", services__health={"interval": 1, "timeout": 20})
    project.deploy()
    upstream = project.state / "nginx" / "upstream.conf"
    master = psutil.Process(project.processes()["nginx"])
    project.set(services__version="2.0.0")
    with Load(project.port) as load:
        started = project.start("deploy")
        until(lambda: status(project.operator_port, "/slots/green/healthz") == 200, "the new slot answers")
        master.suspend()
        try:
            until(lambda: "green=100" in upstream.read_text(), "the switch is written")
            until(lambda: _is_pending(master.pid, signal.SIGHUP), "the switch is told")
            started.process.send_signal(signal.SIGINT)
            until(
                lambda: "green=100" not in upstream.read_text() or started.process.poll() is not None,
                "it goes back",
            )
        finally:
            master.resume()
        assert started.end().code == 130
        answered = load.answered
        until(lambda: load.answered > answered + 50, "the load goes on")
    assert load.failed == []
    assert project.get("/healthz").json()["version"] == "1.0.0"
    assert project.generation().startswith("blue=100,green=0")
    assert set(project.running()) == {"nginx", "app-blue"}


def _is_pending(pid: int, number: signal.Signals) -> bool:
    """Whether a process that is held still has yet to take this signal."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    pending = next(int(line.split()[1], 16) for line in lines if line.startswith("ShdPnd:"))
    return bool(pending & 1 << (number - 1))

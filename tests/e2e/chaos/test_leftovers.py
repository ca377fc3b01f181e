"""What killed verbs can leave on an engine, put there by hand: the next verb that writes removes it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from swiftdeploy_tasks.engines.docker.docker_engine import DockerEngine
from swiftdeploy_tasks.engines.local import processes
from swiftdeploy_tasks.engines.local.local_engine import LocalEngine
from tests.e2e.project import Project, docker, until
from tests.lab import IMAGES


def mine(project: Project) -> list[psutil.Process]:
    """The processes that carry this project's home."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get("SWIFTDEPLOY_HOME") == str(project.state):
                found.append(process)
    return found


def create(project: Project, suffix: str, **labels: str) -> str:
    """A container of ours, made and never started."""
    own = {"swiftdeploy.project": project.name, "swiftdeploy.home": str(project.state)}
    words = [f"--label={key}={value}" for key, value in (own | labels).items()]
    docker("create", "--name", f"{project.name}-{suffix}", *words, IMAGES["nginx"], "true")
    return f"{project.name}-{suffix}"


def test_containers_that_are_no_part_go_and_those_of_a_living_test_stay(
    new_project: Callable[..., Project],
) -> None:
    project = new_project("docker")
    project.deploy()
    service = {"com.docker.compose.service": "app-blue"}
    left = {
        create(project, "nginx-test-dead", **{"swiftdeploy.maker": f"{os.getpid()}@1.0"}),
        create(project, "elsewhere", **service),
    }
    me = f"{os.getpid()}@{psutil.Process().create_time()}"
    living = create(project, "nginx-test-living", **{"swiftdeploy.maker": me})
    serving = project.containers()[f"{project.name}-app-blue"]
    assert set(DockerEngine(project.root, project.state).observe().strangers) == left
    project.deploy()
    assert set(project.containers()) == {
        living,
        *(f"{project.name}-{part}" for part in ("nginx", "opa", "app-blue")),
    }
    assert project.containers()[f"{project.name}-app-blue"] == serving


def test_a_compose_that_outlived_its_verb_is_ended(
    new_project: Callable[..., Project], tmp_path: Path
) -> None:
    project = new_project("docker")
    program = tmp_path / "docker-compose"
    program.symlink_to(sys.executable)
    words = ["-c", "import time; time.sleep(60)", "compose", str(project.state / "compose.yml"), "app-blue"]
    with subprocess.Popen([program, *words]) as child:
        DockerEngine(project.root, project.state).quiesce()
        assert not psutil.pid_exists(child.pid)


def test_a_log_volume_that_was_made_and_not_opened_up_is_opened_up(
    new_project: Callable[..., Project],
) -> None:
    """nginx is not its owner, and dies on a log that it cannot open."""
    project = new_project("docker")
    own = [f"--label=swiftdeploy.project={project.name}", f"--label=swiftdeploy.home={project.state}"]
    docker("volume", "create", *own, project.manifest["services"]["log_volume"])
    project.deploy()


def test_a_log_volume_that_was_opened_up_is_not_opened_up_again(new_project: Callable[..., Project]) -> None:
    project = new_project("docker")
    project.deploy()
    project.get("/")
    since = str(time.time())
    project.set(services__version="2.0.0")
    project.deploy()
    told = ["--filter", "event=create", "--format", "{{.Actor.Attributes.name}}"]
    made = docker("events", "--since", since, "--until", str(time.time()), *told).split()
    assert f"{project.name}-app-green" in made
    assert not [name for name in made if name.startswith(f"{project.name}-volume-")]


@pytest.mark.parametrize("slot", ["app-blue", "process"])
def test_processes_that_are_no_part_are_ended_and_what_serves_stays(
    new_project: Callable[..., Project], slot: str
) -> None:
    """A second launch in a slot is one, though it be the newer one: nginx asks the first."""
    project = new_project("local")
    project.deploy()
    (serving,) = mine(project)
    newer = {**serving.environ(), "APP_PORT": "1"}
    stray = {"SWIFTDEPLOY_HOME": str(project.state), "PATH": os.environ["PATH"]}
    words = [sys.executable, "-c", "import time; time.sleep(60)"]
    with subprocess.Popen(words, env=newer if slot == "app-blue" else stray) as other:
        try:
            until(lambda: len(mine(project)) == 2, "it carries the home")
            engine = LocalEngine(project.root, project.state)
            assert engine.observe().strangers == (f"{slot} (pid {other.pid})",)
            project.deploy()
            assert other.wait(timeout=5) < 0
            assert mine(project) == [serving]
        finally:
            other.kill()


def test_a_helper_that_an_app_started_is_no_stranger(new_project: Callable[..., Project]) -> None:
    """It carries the port of its launch, whatever its parent is now."""
    project = new_project("local")
    project.deploy()
    (serving,) = mine(project)
    words = [sys.executable, "-c", "import time; time.sleep(60)"]
    with subprocess.Popen(words, env=serving.environ()) as helper:
        until(lambda: len(mine(project)) == 2, "it carries the home")
        engine = LocalEngine(project.root, project.state)
        assert engine.observe().strangers == ()
        assert engine.observe().slots["blue"].address.endswith(serving.environ()[processes.PORT])
        helper.kill()

"""The Docker Engine itself ends under a verb: the next deploy after its return puts everything right."""

from __future__ import annotations

import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.chaos.dockerd import Dockerd, dockerd
from tests.e2e.chaos.trial import LEFTOVERS
from tests.e2e.project import COMMAND, Ended, Project, Started, docker, make, until
from tests.e2e.test_records import verified
from tests.lab import IMAGES, require


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Dockerd]:
    """Its socket's path has to be short."""
    require("docker")
    with (
        tempfile.TemporaryDirectory(prefix="sd-") as folder,
        dockerd(Path(folder, "d"), IMAGES.values()) as one,
    ):
        yield one


def start(project: Project, engine: Dockerd, *words: str) -> Started:
    """Start a verb where it reaches what the engine publishes."""
    return project.start_as([*engine.within, str(COMMAND)], *words, DOCKER_HOST=engine.address)


def run(project: Project, engine: Dockerd, *words: str) -> Ended:
    return start(project, engine, *words).end()


def parts(project: Project, engine: Dockerd) -> set[str]:
    names = docker("-H", engine.address, "ps", "-a", "--format", "{{.Names}}").split()
    return {name.removeprefix(f"{project.name}-") for name in names}


def serves(project: Project, engine: Dockerd, version: str) -> None:
    """The version serves, alone, nothing is left of what was cut off, and there is nothing to do."""
    found = run(project, engine, "status", "--json").document()
    assert (found["version"], found["drift"]) == (version, [])
    here = parts(project, engine)
    assert here - {"app-blue", "app-green"} == {"nginx", "opa"} and len(here) == 3
    assert not [path for sign in LEFTOVERS for path in project.root.rglob(sign)]
    run(project, engine, "plan", "--check").ok()
    verified(project)


def test_an_engine_that_is_killed_under_a_deploy_and_comes_back(engine: Dockerd, tmp_path: Path) -> None:
    project = make(tmp_path, "docker")
    run(project, engine, "deploy").ok()
    project.set(services__version="2.0.0")
    started = start(project, engine, "deploy")
    until(lambda: "app-green" in parts(project, engine), "the new slot is there")
    engine.end(signal.SIGKILL)
    until(lambda: "failed" in outcomes(project, "step"), "the deploy notices it", seconds=60)
    refused = run(project, engine, "plan")
    assert refused.code == 5, refused.said
    assert f"the Docker Engine at {engine.address} cannot be used" in refused.err
    engine.start()
    ended = started.end()
    assert ended.code == 5, ended.said
    assert outcomes(project, "undone") == ["done"]
    run(project, engine, "deploy").ok()
    serves(project, engine, "2.0.0")
    run(project, engine, "teardown").ok()
    assert parts(project, engine) == set()


def outcomes(project: Project, event: str) -> list[str]:
    return [record["outcome"] for record in project.history() if record["event"] == event]


HELD = {"steps": [50, 100], "interval": 60, "min_requests": 0}


def split(project: Project, engine: Dockerd) -> Started:
    """Start a promote, and wait until both slots have traffic."""
    project.set(rollout=HELD, policy__canary={"window": 1})
    run(project, engine, "deploy").ok()
    started = start(project, engine, "promote")
    until(lambda: "blue=50,green=50" in loaded(project, engine), "the split", seconds=60)
    upstream = project.state / "nginx" / "upstream.conf"
    until(lambda: "blue=100,green=0" in upstream.read_text(), "the way back lies on disk")
    return started


def loaded(project: Project, engine: Dockerd) -> str:
    words = ["curl", "-s", "-m", "2", f"http://127.0.0.1:{project.operator_port}/generation"]
    return subprocess.run([*engine.within, *words], capture_output=True, text=True).stdout


def test_an_engine_that_restarts_under_a_promote_is_waited_for_and_the_promote_goes_back(
    engine: Dockerd, tmp_path: Path
) -> None:
    project = make(tmp_path, "docker")
    started = split(project, engine)
    engine.end(signal.SIGTERM)
    engine.start()
    ended = started.end(seconds=150)
    assert ended.code == 5, ended.said
    assert outcomes(project, "undone") == ["done"]
    assert "blue=100,green=0" in loaded(project, engine)
    until(lambda: run(project, engine, "plan", "--check").code == 0, "all is well again", seconds=60)
    serves(project, engine, "1.0.0")
    run(project, engine, "teardown").ok()


def test_after_a_power_cut_in_a_promote_what_served_before_serves_alone_without_any_verb(
    engine: Dockerd, tmp_path: Path
) -> None:
    project = make(tmp_path, "docker")
    started = split(project, engine)
    started.process.kill()
    started.end()
    engine.cut_power()
    engine.start()
    until(lambda: "blue=100,green=0" in loaded(project, engine), "what served before is back", seconds=60)
    run(project, engine, "teardown").ok()

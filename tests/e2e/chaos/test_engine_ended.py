"""The Docker Engine itself ends under a verb: the next deploy after its return puts everything right."""

from __future__ import annotations

import signal
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
    ended = started.end()
    assert ended.code == 5, ended.said
    refused = run(project, engine, "deploy")
    assert refused.code == 5, refused.said
    assert f"the Docker Engine at {engine.address} cannot be used" in refused.err
    engine.start()
    run(project, engine, "deploy").ok()
    serves(project, engine, "2.0.0")
    run(project, engine, "teardown").ok()
    assert parts(project, engine) == set()

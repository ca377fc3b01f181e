"""Drift on a real stack: each case is a folder whose `case.yaml` damages it and lists what plan must report.

`damage` is run by a shell with NAME, ROOT, STATE, SLOT (which serves), OTHER and PID (of the app, on local)
set; `found` are the targets that `plan` has to name, each with what it says about them; `environment` is what
the verbs get. After one `deploy` nothing is left to change.
"""

from __future__ import annotations

import functools
import json
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from string import Template
from typing import Any

import pytest
import yaml

from swiftdeploy_tasks import settings
from swiftdeploy_tasks.engines.docker import compose_file
from swiftdeploy_tasks.rollout import observation, preview
from swiftdeploy_tasks.rollout.project import engine_of
from swiftdeploy_tasks.session import invocation
from swiftdeploy_tasks.session import run as runs
from tests.e2e.conftest import PARTS
from tests.e2e.project import Project, make, used
from tests.lab import require
from tests.ports import free_port

PLANS = 40
CASES = Path(__file__).parent
NAMES = sorted(path.parent.name for path in CASES.glob("*/case.yaml"))
READ = {name: yaml.safe_load((CASES / name / "case.yaml").read_text()) for name in NAMES}
TABLE = [(engine, name) for engine in PARTS for name in NAMES if engine in READ[name]["engines"]]


@pytest.fixture(scope="module")
def stacks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Project]]:
    """One project an engine that serves, which every case damages and mends."""
    with ExitStack() as stack:

        @functools.cache
        def on(engine: str) -> Project:
            require(PARTS[engine])
            env = {"TOKEN": {"from_env": "DRIFT_TOKEN"}}
            project = make(tmp_path_factory.mktemp("drift"), engine, services__env=env)
            project.environment["DRIFT_TOKEN"] = "the first"
            stack.enter_context(contextmanager(used)(project)).deploy()
            return project

        yield on


def serving(project: Project) -> str:
    (slot,) = (slot for slot in ("blue", "green") if f"{slot}=100" in project.generation())
    return slot


def damage(project: Project, script: str) -> None:
    slot = serving(project)
    variables = {
        "NAME": project.name,
        "ROOT": str(project.root),
        "STATE": str(project.state),
        "SLOT": slot,
        "OTHER": "green" if slot == "blue" else "blue",
        "PID": str(project.processes().get(f"app-{slot}", "")),
        "NGINX": str(project.processes().get("nginx", "")),
        "OPERATOR": str(project.operator_port),
        "OPEN": str(free_port()),
        "IMAGE": str(project.manifest["nginx"]["image"]),
    }
    secrets = {f"{compose_file.SECRET}{name}": value for name, value in project.environment.items()}
    environment = {**os.environ, **project.environment, **secrets, **variables}
    words = ["sh", "-euc", script]
    done = subprocess.run(
        words, env=environment, cwd=project.root, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr


def told(document: dict[str, Any]) -> dict[str, str]:
    """What plan says about each target, a file by its name."""
    about: dict[str, str] = {}
    rows = [(step["target"], step["reason"]) for step in document["steps"]]
    rows += [(Path(file["path"]).name, f"{file['state']} {file['diff']}") for file in document["files"]]
    for target, words in rows:
        about[target] = f"{about.get(target, '')} {words}"
    return about


@pytest.mark.parametrize(("engine", "name"), TABLE)
def test_it_is_found_named_and_mended(stacks: Callable[[str], Project], engine: str, name: str) -> None:
    stack, case = stacks(engine), READ[name]
    slot = serving(stack)
    given: dict[str, Any] = case.get("environment", {})
    damage(stack, case["damage"])
    try:
        found(stack, case["found"], slot, given)
        stack.deploy(**given)
        stack.run("plan", "--check", **given).ok()
        assert stack.get().status == 200
        assert len([part for part in stack.running() if part.startswith("app-")]) == 1
    except AssertionError:
        stack.run("deploy")  # the next case is to find it whole
        raise
    stack.environment.update(given)


def found(stack: Project, wanted: dict[str, str], slot: str, given: dict[str, Any]) -> None:
    """Plan names each target with what is said about it."""
    planned = stack.run("plan", "--check", "--json", **given)
    assert planned.code == 9, planned.said
    about = told(planned.document())
    names = {"SLOT": slot, "OTHER": "green" if slot == "blue" else "blue", "NAME": stack.name}
    for target, words in wanted.items():
        named, wording = (Template(text).substitute(names) for text in (target, words))
        said = [words for name, words in about.items() if name.startswith(named)]
        assert wording in " ".join(said), json.dumps(about, indent=1)


@pytest.mark.parametrize("engine", PARTS)
def test_nothing_is_found_where_nothing_was_touched_however_often_it_is_looked_for(
    stacks: Callable[[str], Project], engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one process, each time as another invocation; `python -m bench.planning` does it 200 times."""
    project = stacks(engine)
    project.run("plan", "--check").ok()
    for name, value in project.environment.items():
        monkeypatch.setenv(name, value)
    for _ in range(PLANS):
        monkeypatch.setattr(runs, "INVOCATION", invocation.Invocation())
        run = runs.Run("plan", settings.find(project.root), {}, has_no_effect=True)
        found = preview.prospect(run, observation.look(engine_of(run), run.settings))
        assert found.changes == 0, [str(deed) for deed in found.deeds]

"""An example of examples/ as a project of its own, and the course that each of them takes under load."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from tests.e2e.project import SOURCE, Project, used
from tests.e2e.rollover.load import Load
from tests.examples.vendored import use_vendored
from tests.lab import IMAGES, require
from tests.ports import free_ports

PARTS = {"local": "nginx", "docker": "docker"}
# A test watches for a second what an owner watches for longer, on a host that may be busy.
FOR_A_TEST: dict[str, Any] = {
    "services__health__interval": 0.2,
    "rollout__interval": 1,
    "rollout__min_requests": 5,
    "policy__canary": {"window": 2, "max_p99_ms": 5000},
    "policy__infrastructure": {
        "min_disk_free_gb": 0.001,
        "max_load_per_core": 1000,
        "max_memory_used_percent": 100,
    },
}


def copy_of(example: str, folder: Path, *, engine: str = "local", **changes: Any) -> Iterator[Project]:
    """Copy an example, with free ports and a name of its own; tear it down after the test.

    `changes` are more changes of its manifest, as in `Project.set`.
    """
    require(PARTS[engine])
    name = f"example-{secrets.token_hex(4)}"
    root = folder / name
    shutil.copytree(SOURCE / "examples" / example, root, ignore=shutil.ignore_patterns("__pycache__"))
    manifest = yaml.safe_load((root / "manifest.yaml").read_text())
    project = Project(root, engine, name, manifest)
    public, operator, opa = free_ports(3)
    ports = {"nginx__port": public, "nginx__operator_port": operator, "opa__port": opa}
    project.set(name=name, engine=engine, **ports, **FOR_A_TEST, **changes)
    return used(project)


def in_containers(example: str, folder: Path) -> Iterator[Project]:
    """The same in containers: the images are those of the lab, with the libraries of this environment."""
    images = {"nginx__image": IMAGES["nginx"], "opa__image": IMAGES["opa"]}
    for project in copy_of(example, folder, engine="docker", **images):
        use_vendored(project.root)
        project.set(services__image=f"{project.name}-app:latest")
        yield project


@contextmanager
def load_on(project: Project, path: str = "/", *, host: str = "") -> Iterator[Load]:
    """A steady load of GETs while the block runs; each must have been answered with 200."""
    with Load(project.port, path, host=host, posts=()) as load:
        yield load
    assert load.failed == []
    assert set(load.seen) == {"200"}, load.seen
    assert load.answered > 50, load.seen


def serves(project: Project) -> tuple[str, str]:
    """Return the version and the mode that have all of the traffic."""
    slots = project.run("status", "--json").ok().document()["slots"]
    (slot,) = [slot for slot in slots.values() if slot and slot["weight"]]
    return slot["version"], slot["mode"]


def take(project: Project, path: str = "/", *, host: str = "") -> None:
    """Deploy, then upgrade, promote by steps and roll back under a load that loses no request; tear down."""
    assert project.manifest["rollout"]["steps"] == [10, 50, 100]
    project.deploy()
    first = serves(project)
    with load_on(project, path, host=host):
        project.set(services__version="2.0.0")
        project.deploy()
        assert serves(project) == ("2.0.0", "stable") != first
        project.run("promote", "canary").ok()
        assert serves(project) == ("2.0.0", "canary")
        project.run("rollback").ok()
        assert serves(project) == ("2.0.0", "stable")
    project.run("teardown").ok()
    assert project.left() == []

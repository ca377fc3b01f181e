"""One verb in a project that serves: what it said, and what stood before and after it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import psutil

from tests.e2e.project import Ended, Project
from tests.e2e.rollover.load import Load
from tests.e2e.wire import Answer

LOOKS = 5
CANARY = {"window": 1, "max_p99_ms": 5000}
ROLLOUT = {"steps": [50, 100], "interval": 1, "min_requests": 5}


@dataclass(frozen=True)
class Sight:
    """What a visitor and the operating system see; two that are equal mean that nothing moved."""

    answers: tuple[tuple[str | None, str | None, tuple[str, ...]], ...]
    manifest: bytes
    nginx: str
    running: tuple[tuple[str, str], ...]

    @property
    def answer(self) -> tuple[str | None, str | None, tuple[str, ...]]:
        """(version, mode, values of X-Mode); the answers must agree."""
        assert len(set(self.answers)) == 1, self.answers
        return self.answers[0]


@dataclass(frozen=True)
class Course:
    """A verb that has ended, between two sights, with the load that was there meanwhile."""

    ended: Ended
    before: Sight
    after: Sight
    load: Load

    @property
    def document(self) -> dict[str, Any]:
        return self.ended.document()

    def went(self, *, requests: int = 50) -> Course:
        """It succeeded, and no request failed."""
        self.ended.ok()
        assert self.load.failed == []
        assert self.load.answered > requests, self.load.seen
        return self


def _told(answer: Answer) -> tuple[str | None, str | None, tuple[str, ...]]:
    assert answer.status == 200, answer
    found = answer.json()
    return found["version"], found["mode"], tuple(answer.all("X-Mode"))


def nginx_of(project: Project) -> str:
    """Another one after every restart."""
    if project.engine == "local":
        master = psutil.Process(project.processes()["nginx"])
        return f"{master.pid} since {master.create_time()}"
    found = project.inspect("nginx")
    return f"{found['Id']} {found['State']['Pid']} since {found['State']['StartedAt']}"


def see(project: Project) -> Sight:
    return Sight(
        tuple(_told(project.get("/healthz")) for _ in range(LOOKS)),
        (project.root / "manifest.yaml").read_bytes(),
        nginx_of(project),
        tuple(sorted(project.running().items())),
    )


def under_load(
    project: Project, *words: str, fine: frozenset[int] = frozenset(), before: float = 0.3
) -> Course:
    """Run a verb in JSON while there is load, that began `before` seconds earlier."""
    first = see(project)
    with Load(project.port, fine=fine) as load:
        time.sleep(before)
        ended = project.run(*words, "--json")
    return Course(ended, first, see(project), load)


def alone(project: Project, *words: str) -> Course:
    """Run a verb in JSON without load."""
    first = see(project)
    return Course(project.run(*words, "--json"), first, see(project), Load(project.port))

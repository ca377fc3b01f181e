"""Clients with a cookie keep their slot while a new release takes over by steps, and no request fails."""

from __future__ import annotations

import http.client
import random
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from types import TracebackType

import pytest

from tests.e2e.project import Project, make, used
from tests.e2e.rollover.course import CANARY
from tests.e2e.wire import ask

STEPS = [5, 20, 50, 80, 100]
CHANCE = random.Random(17)
KEYS = [CHANCE.randbytes(16).hex() for _ in range(60)]
THREADS = 6


@dataclass(frozen=True)
class Seen:
    """One answer: when its request was sent and answered (unix s), and the release that it is of."""

    client: str
    sent: float
    answered: float
    release: tuple[str, str]


@dataclass
class Visitors:
    """Clients that each ask for pages, one after the other, while the `with` block runs."""

    port: int
    seen: list[Seen] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)
    threads: list[threading.Thread] = field(default_factory=list)

    def __enter__(self) -> Visitors:
        self.threads = [
            threading.Thread(target=self._visit, args=(KEYS[n::THREADS],)) for n in range(THREADS)
        ]
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.over.set()
        for thread in self.threads:
            thread.join()

    def _visit(self, keys: list[str]) -> None:
        while not self.over.is_set():
            for key in keys:
                self._ask(key)
                self.over.wait(0.02)

    def _ask(self, key: str) -> None:
        sent = time.time()
        try:
            answer = ask(self.port, "/", headers={"Cookie": f"swiftdeploy={key}"})
        except (OSError, http.client.HTTPException) as error:
            self.failed.append(repr(error))
            return
        if answer.status != 200 or answer.all("Set-Cookie"):
            self.failed.append(repr(answer))
            return
        found = answer.json()
        self.seen.append(Seen(key, sent, time.time(), (found["version"], found["mode"])))


@pytest.fixture(scope="module")
def serving(engine: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    rollout = {"steps": STEPS, "interval": 2, "min_requests": 0}
    for made in used(make(tmp_path_factory.mktemp("e2e"), engine, policy__canary=CANARY, rollout=rollout)):
        made.deploy()
        yield made


def in_force(project: Project) -> list[tuple[dict[str, int], float, float]]:
    """Return the weights, and from when to when they were in force, for each switch of the last verb."""
    found, steps = [], [one for one in project.history() if one["event"] == "step"]
    routes = [one for one in steps if one["run"] == steps[-1]["run"] and one["action"] == "route"]
    times = [datetime.fromisoformat(one["time"]).timestamp() for one in routes]
    for index in range(0, len(routes), 2):
        until = times[index + 2] if index + 2 < len(times) else times[-1] + 60
        found.append((routes[index]["weights"], times[index + 1], until))
    return found


@pytest.mark.parametrize(
    ("engine", "verb"),
    [("local", "deploy"), ("local", "promote"), ("docker", "deploy")],
    indirect=["engine"],
)
def test_no_client_goes_back_while_the_share_grows_and_no_request_fails(serving: Project, verb: str) -> None:
    serving.set(rollout__sticky="cookie")
    if verb == "deploy":
        serving.set(services__version="2.0.0")
    else:
        serving.deploy()
    with Visitors(serving.port) as visitors:
        serving.run(verb).ok()
    new = (serving.manifest["services"]["version"], "stable" if verb == "deploy" else "canary")
    assert visitors.failed == []
    at_new, sizes = set[str](), []
    for weights, since, until in in_force(serving):
        period = [one for one in visitors.seen if since <= one.sent and one.answered <= until]
        now = {one.client for one in period if one.release == new}
        still_old = {one.client for one in period if one.release != new}
        assert not (at_new | now) & still_old, weights
        at_new |= now
        sizes.append(len(at_new))
    assert (len(set(sizes)), sizes[-1]) == (len(STEPS), len(KEYS)), sizes

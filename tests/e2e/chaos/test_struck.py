"""Some of the strikes that `invoke dev.chaos` makes: after each, one verb puts everything right."""

from __future__ import annotations

import functools
import itertools
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest

from tests.e2e.chaos.trial import Fault, begin, strike
from tests.e2e.conftest import PARTS
from tests.e2e.project import Project, make, used
from tests.lab import require

EVERYWHERE = [Fault("deploy", at="drain app-*"), Fault("promote", at="rewrite the mode")]
TABLE = [(engine, fault) for engine in PARTS for fault in EVERYWHERE] + [
    ("docker", Fault("deploy", compose=True)),
    ("docker", Fault("deploy", at="wait app-*")),
    ("local", Fault("deploy", seconds=1.0, signals=(signal.SIGINT, signal.SIGINT))),
    ("local", Fault("deploy", seconds=1.0, signals=(signal.SIGHUP,))),
    ("local", Fault("deploy", at="start app-*")),
    ("local", Fault("deploy", at="confirm the release")),
    ("local", Fault("deploy", at="keep the manifest")),
    ("local", Fault("rollback", at="confirm the release")),
    ("local", Fault("promote", at="keep the manifest")),
    ("local", Fault("promote", at="verify public port")),
    ("local", Fault("promote", at="rewrite the mode", recover="deploy")),
    ("local", Fault("promote", at="drain app-*", recover="deploy")),
    ("local", Fault("rollback", at="rewrite the mode")),
]


@pytest.fixture(scope="module")
def projects(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Project]]:
    """One project an engine, which lives through all trials."""
    numbers = {engine: itertools.count(1) for engine in PARTS}
    with ExitStack() as stack:

        @functools.cache
        def on(engine: str) -> Project:
            require(PARTS[engine])
            project = make(tmp_path_factory.mktemp("chaos"), engine, policy__canary={"window": 1})
            return stack.enter_context(contextmanager(used)(project))

        def ready(engine: str) -> Project:
            project = on(engine)
            begin(project, next(numbers[engine]))
            return project

        yield ready


@pytest.mark.parametrize(("engine", "fault"), TABLE, ids=str)
def test_the_next_verb_puts_it_right_and_no_request_is_lost(
    projects: Callable[[str], Project], engine: str, fault: Fault
) -> None:
    recovery = strike(projects(engine), fault)
    assert recovery.code != 0, "it came to its end before it was struck"
    assert recovery.answered > 0
    assert recovery.failed == ()

"""Projects for the end-to-end tests, on the engines that are here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.project import Project, make, used
from tests.lab import require

PARTS = {"local": "nginx", "docker": "docker"}


@pytest.fixture(scope="module", params=["local", "docker"])
def engine(request: pytest.FixtureRequest) -> str:
    """The name of an engine that is here."""
    name: str = request.param
    require(PARTS[name])
    return name


@pytest.fixture(scope="module")
def deployed(engine: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A project that serves, for tests that only look."""
    for project in used(make(tmp_path_factory.mktemp("e2e"), engine)):
        project.deploy()
        yield project


@pytest.fixture
def project(engine: str, tmp_path: Path) -> Iterator[Project]:
    """A project that nothing was done with yet."""
    yield from used(make(tmp_path, engine))


@pytest.fixture
def new_project(tmp_path: Path) -> Iterator[Callable[..., Project]]:
    """Make a project on the engine that the test names; any number of them."""
    with ExitStack() as stack:

        def on(engine: str, **changes: Any) -> Project:
            require(PARTS[engine])
            return stack.enter_context(contextmanager(used)(make(tmp_path, engine, **changes)))

        yield on

"""Which tests run side by side, what has to be here for them, and what they must not leave behind."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from tests import lab, leftovers

HERE = Path(__file__).parent

# How long an example takes says more about the host than about what is tested.
hypothesis.settings.register_profile(
    "without deadline", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("without deadline")


def pytest_configure(config: pytest.Config) -> None:
    if _starts_the_run(config):
        if trouble := lab.unmet():
            raise pytest.UsageError(trouble)
        leftovers.begin()


def pytest_unconfigure(config: pytest.Config) -> None:
    if _starts_the_run(config) and leftovers.MARK in os.environ and (swept := leftovers.sweep()):
        sys.stderr.write(f"removed what tests had left: {', '.join(swept)}\n")


def _starts_the_run(config: pytest.Config) -> bool:
    """Whether this is the process that was called, and not a worker of it."""
    return not hasattr(config, "workerinput")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Workers for `-n auto`: whole projects mostly wait, and each takes two of the 31 networks of Docker."""
    return min(2 * (os.cpu_count() or 1), 6)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Keep the tests of a file on one worker, those of each engine apart: they share a stack."""
    from xdist.scheduler import LoadScopeScheduling

    class OneStackOneWorker(LoadScopeScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            file, _, case = nodeid.partition("::")
            return file + next((f" {name}" for name in ("docker", "local") if f"[{name}" in case), "")

    config.option.loadscopereorder = False
    return OneStackOneWorker(config, log)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the stacks, which take longest, so that what is short fills the end."""
    items.sort(key=lambda item: item.path.relative_to(HERE).parts[0] != "e2e")

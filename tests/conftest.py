"""Which tests run side by side, what has to be here for them, and what they must not leave behind."""

from __future__ import annotations

import os
import sys

import pytest

from tests import lab, leftovers

TOGETHER = ("module", "package", "session")


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


def pytest_xdist_auto_num_workers() -> int:
    """Workers for `-n auto`: tests of whole projects spend more than half of their time waiting."""
    return 2 * (os.cpu_count() or 1)


def pytest_itemcollected(item: pytest.Item) -> None:
    """Keep the tests of a module that share a stack on one worker, each engine's apart."""
    if isinstance(item, pytest.Function) and _shares(item):
        item.add_marker(pytest.mark.xdist_group(_group(item)))


def _shares(item: pytest.Function) -> bool:
    """Whether a fixture of ours outlives this test; the name of an engine alone is nothing to share."""
    fixtures = item._fixtureinfo.name2fixturedefs.items()
    return any(
        found[-1].baseid and found[-1].scope in TOGETHER for name, found in fixtures if name != "engine"
    )


def _group(item: pytest.Function) -> str:
    given = getattr(item, "callspec", None)
    engine = given.params.get("engine", "") if given else ""
    return f"{item.module.__name__} {engine}".strip()

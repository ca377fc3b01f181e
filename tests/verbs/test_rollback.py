"""Which release a rollback goes back to."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from swiftdeploy_tasks.model.state import State
from swiftdeploy_tasks.rollout import release_store
from swiftdeploy_tasks.session.run import Run
from swiftdeploy_tasks.verbs import rollback
from tests.rollout.plan_states import NEW, OLD, THIRD, occupied, standing


@pytest.mark.parametrize(
    ("before", "version"),
    [
        (standing(occupied(NEW), shares=(100, 0)), OLD.version),
        (standing(occupied(THIRD), shares=(100, 0)), NEW.version),
        # The release confirmed last was stopped, and the one to follow it never served.
        (standing(), NEW.version),
        (standing(occupied(THIRD)), NEW.version),
        (standing(shares=(0, 100)), OLD.version),
        (standing(proxy=None), OLD.version),
    ],
    ids=[
        "the confirmed one serves",
        "another one serves",
        "nginx has none",
        "another one is without traffic",
        "it has died",
        "nothing runs",
    ],
)
def test_a_rollback_goes_below_what_serves_and_in_a_gap_to_the_last_one(
    before: State, version: str, tmp_path: Path
) -> None:
    for each in (OLD, NEW):
        release_store.confirm(tmp_path, each)
    places = SimpleNamespace(releases=tmp_path, target=tmp_path / "target.json")
    run = cast(Run, SimpleNamespace(settings=places))
    assert rollback._target(run, "", before).version == version

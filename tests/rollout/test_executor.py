"""The undo of a change, where the engine itself is the trouble."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pytest

from swiftdeploy_tasks.errors import EngineError
from swiftdeploy_tasks.model.release import Release
from swiftdeploy_tasks.model.state import Placement, State, Traffic
from swiftdeploy_tasks.rollout import generation, observation, undo
from swiftdeploy_tasks.rollout.job import Job


def test_an_undo_waits_for_an_engine_that_stays_away_only_so_long(monkeypatch: pytest.MonkeyPatch) -> None:
    tries, said = [], list[str]()

    def observe() -> State:
        tries.append(1)
        raise EngineError("the Docker Engine cannot be used")

    monkeypatch.setattr(undo, "ENGINE_SECONDS", 0.05)
    monkeypatch.setattr(generation, "TICK", 0.01)
    job = cast("Job", SimpleNamespace(engine=SimpleNamespace(observe=observe), say=said.append, watch=None))
    with pytest.raises(EngineError, match="cannot be used"):
        undo.undo(job, State(None, {}, Traffic()), None, in_force=None)
    assert len(tries) > 1
    assert said == ["the engine does not answer: waiting for it, at most 0.05 s"]


@pytest.mark.parametrize(
    ("has", "is_changed"),
    [
        ({"MODE": "stable", "KEY": "value"}, False),
        ({"MODE": "stable", "KEY": "another"}, True),
        ({"MODE": "stable"}, True),
        ({"APP_PORT": "1"}, False),
    ],
)
def test_a_secret_that_is_other_or_missing_is_drift_but_not_in_an_overwritten_environment(
    monkeypatch: pytest.MonkeyPatch, has: dict[str, str], is_changed: bool
) -> None:
    monkeypatch.setenv("SOURCE_OF_KEY", "value")
    release = cast("Release", SimpleNamespace(secrets=(("KEY", "SOURCE_OF_KEY"),)))
    assert bool(observation._secrets_changed(Placement(release, "", environment=has))) is is_changed

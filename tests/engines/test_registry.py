"""The engines by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from swiftdeploy_tasks.engines import registry
from swiftdeploy_tasks.errors import PreflightError
from swiftdeploy_tasks.settings import find


def test_an_engine_that_is_not_known_is_an_error_and_never_another_one(tmp_path: Path) -> None:
    settings = find(tmp_path)
    with pytest.raises(PreflightError, match="there is no engine 'podman', only local, docker"):
        registry.make("podman", settings)
    settings.state.mkdir()
    registry.record(settings, "podman")
    assert registry.candidates(settings) == ("podman",)

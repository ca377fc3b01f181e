"""The folders of the state that hold the app's data."""

from __future__ import annotations

from pathlib import Path

import pytest

from swiftdeploy_tasks.engines.local.local_engine import LocalEngine
from swiftdeploy_tasks.errors import EngineError


def test_a_volume_that_is_a_link_is_not_followed_and_not_removed(tmp_path: Path) -> None:
    data, home = tmp_path / "disk", tmp_path / ".swiftdeploy"
    data.mkdir()
    (data / "row").touch()
    (home / "volumes").mkdir(parents=True)
    (home / "volumes" / "data").symlink_to(data)
    with pytest.raises(EngineError, match="volumes/data cannot be removed"):
        LocalEngine(tmp_path, home).remove_all(lambda _: None, data_volumes=True)
    assert (data / "row").exists()

from __future__ import annotations

from pathlib import Path

import pytest

from swiftdeploy_tasks.history.store import History


@pytest.fixture
def history(tmp_path: Path) -> History:
    return History(tmp_path / "history.jsonl", tmp_path / ".swiftdeploy")


@pytest.fixture
def ten(history: History) -> History:
    """A history of ten records."""
    for number in range(10):
        history.append("step", "deploy", "run-1", "done", number=number)
    return history

"""A process of ours is found by its environment as soon as it was started, however late that is shown."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from swiftdeploy_tasks.engines import local_processes


def test_a_process_is_found_when_start_returns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    late: list[dict[str, str]] = [{}, {}, {}]
    shown = psutil.Process.environ
    monkeypatch.setattr(psutil.Process, "environ", lambda process: late.pop() if late else shown(process))
    home = str(tmp_path)
    started = local_processes.start(
        ["sleep", "30"], environment={local_processes.HOME: home}, folder=tmp_path, log=tmp_path / "log"
    )
    try:
        assert not late
        assert [found.process.pid for found in local_processes.ours(home)] == [started.pid]
    finally:
        started.kill()
        started.wait()

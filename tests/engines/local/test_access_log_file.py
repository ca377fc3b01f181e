"""How much of the file of nginx's access log one read covers, and its rotation."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from swiftdeploy_tasks.engines.local import access_log_file
from swiftdeploy_tasks.engines.protocol import ACCESS_BYTES
from swiftdeploy_tasks.metrics import AccessLog, LogWindows

SLOT = "127.0.0.1:4000"


def lines(per_second: int, seconds: int, *, until: float, status: str = "200") -> str:
    """`per_second` lines for each of the `seconds` before `until`."""
    text = ""
    for at in range(int(until) - seconds, int(until)):
        when = datetime.fromtimestamp(at, UTC).isoformat()
        text += f"{when} | {status} | 0.004s | {SLOT} | GET / HTTP/1.1\n" * per_second
    return text


def requests(log: AccessLog, *, seconds: float = 30.0) -> tuple[int, float, float | None]:
    windows = LogWindows()
    windows.add(log, leave_out="", keep=seconds + 2)
    found = windows.of_slot(SLOT, seconds=seconds)
    assert found is not None
    return found.window.requests, found.window.seconds, found.window.rate


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "access.log"


def test_a_log_that_is_read_from_its_start_covers_the_whole_time(path: Path) -> None:
    path.write_text(lines(1, 5, until=time.time()), encoding="utf-8")
    count, seconds, _ = requests(access_log_file.read(path, 31))
    assert count == 5 and 30 <= seconds < 31.5


def test_a_log_beyond_the_bound_gives_a_shorter_window_with_the_true_rate(path: Path) -> None:
    path.write_text(lines(2000, 40, until=time.time()), encoding="utf-8")
    log = access_log_file.read(path, 31)
    assert sum(map(len, log.lines)) <= ACCESS_BYTES
    count, seconds, rate = requests(log)
    assert 10 < seconds < 25
    # The second in progress has no line yet.
    assert rate == pytest.approx(count / seconds, rel=1e-3) and 1800 < count / int(seconds) <= 2000


def test_a_look_at_a_few_seconds_reads_a_small_part(path: Path) -> None:
    path.write_text(lines(500, 60, until=time.time()), encoding="utf-8")
    log = access_log_file.read(path, 4)
    assert len(log.lines) < 3000
    assert 3 <= requests(log, seconds=3.0)[0] / 500 <= 4


def test_a_last_line_that_is_not_whole_is_left_for_the_next_look(path: Path) -> None:
    whole = lines(2, 3, until=time.time())
    path.write_text(whole[:-20], encoding="utf-8")
    assert len(access_log_file.read(path, 31).lines) == 5
    path.write_text(whole, encoding="utf-8")
    assert len(access_log_file.read(path, 31).lines) == 6


def test_a_missing_log_covers_no_time(path: Path) -> None:
    windows = LogWindows()
    windows.add(access_log_file.read(path, 31), leave_out="", keep=32)
    assert windows.of_slot(SLOT, seconds=30) is None


def test_only_a_log_that_is_larger_than_a_look_reads_is_set_aside(path: Path, tmp_path: Path) -> None:
    former = tmp_path / "access.log.1"
    path.write_text("x" * access_log_file.LARGE, encoding="utf-8")
    access_log_file.rotate(path)
    assert not former.exists()
    path.write_text("x" * (access_log_file.LARGE + 1), encoding="utf-8")
    former.write_text("older")
    access_log_file.rotate(path)
    assert former.stat().st_size == access_log_file.LARGE + 1 and not path.exists()
    access_log_file.rotate(path)
    assert former.stat().st_size > ACCESS_BYTES


def test_a_former_file_that_was_just_set_aside_and_is_still_written_counts(
    path: Path, tmp_path: Path
) -> None:
    now = time.time()
    former = tmp_path / "access.log.1"
    former.write_text(lines(3, 40, until=now - 10) + lines(1, 10, until=now))
    path.write_text(lines(2, 10, until=now), encoding="utf-8")
    count, seconds, _ = requests(access_log_file.read(path, 31))
    assert count == 3 * (int(seconds) - 10) + 30


def test_a_former_file_of_long_ago_is_not_read(path: Path, tmp_path: Path) -> None:
    former = tmp_path / "access.log.1"
    former.write_text(lines(3, 10, until=time.time() - 100))
    os.utime(former, (time.time() - 100,) * 2)
    path.write_text(lines(2, 10, until=time.time()), encoding="utf-8")
    assert len(access_log_file.read(path, 31).lines) == 20


def test_a_file_that_is_set_aside_between_the_two_reads_is_counted_once(path: Path, tmp_path: Path) -> None:
    path.write_text(lines(2, 10, until=time.time()), encoding="utf-8")
    os.link(path, tmp_path / "access.log.1")
    assert len(access_log_file.read(path, 31).lines) == 20

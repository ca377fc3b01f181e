"""Other files in the place of a history: each has a clear error, and none is waited for."""

from __future__ import annotations

import json
import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from swiftdeploy_tasks.errors import HistoryError
from swiftdeploy_tasks.history import chain
from swiftdeploy_tasks.history.store import History
from tests.history.rotated import fill, put_head, records


@contextmanager
def powerless() -> Iterator[None]:
    """Run as a user to whom file modes apply; the superuser becomes an unprivileged user meanwhile."""
    if os.geteuid():
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def open_to_all() -> Iterator[History]:
    """A history of three records in a folder that all users may enter and only the owner may write in."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        history = History(Path(folder, "history.jsonl"), Path(folder, "state"))
        fill(history, 3)
        for path in (history.state, history.path, *history.state.iterdir()):
            path.chmod(0o755 if path.is_dir() else 0o644)
        yield history


def test_no_history_yet_is_whole_and_looking_at_it_leaves_nothing_behind(history: History) -> None:
    found = history.verify()
    assert (found.ok, found.records, found.head, found.first_bad_file) == (True, 0, None, None)
    assert (list(history.lines()), list(history.proven())) == ([], [])
    assert not history.state.exists()


def test_an_empty_file_without_a_head_is_a_history_that_begins(history: History) -> None:
    history.path.touch()
    assert history.verify().ok
    assert fill(history, 1)[0]["seq"] == 1


def test_an_empty_file_with_a_head_is_a_loss(ten: History) -> None:
    ten.path.write_bytes(b"")
    found = ten.verify()
    assert (found.ok, found.first_bad, found.reason[:9]) == (False, 1, "truncated")


def test_a_first_line_that_is_no_json_is_named_and_appends_go_on(history: History) -> None:
    history.path.write_bytes(b"# my notes\n")
    fill(history, 2)
    found = history.verify()
    assert (found.ok, found.first_bad) == (False, 1)
    assert "not JSON" in found.reason
    assert [record["event"] for record in history.proven()] == ["step", "step", "head_lost"]


@pytest.mark.parametrize("at", [0, 5, 10])
def test_a_line_over_a_mebibyte_is_named_in_bounded_memory(ten: History, at: int) -> None:
    lines = ten.path.read_bytes().splitlines(True)
    ten.path.write_bytes(b"".join([*lines[:at], b'"' + b"x" * 5_000_000 + b'"\n', *lines[at:]]))
    found = ten.verify()
    assert (found.ok, found.first_bad) == (False, at + 1)
    assert "longer than 1048576 bytes" in found.reason
    assert len([line for line in ten.lines() if line.record]) == 10


def test_the_history_of_another_project_is_not_taken_for_ours(ten: History, tmp_path: Path) -> None:
    other = History(tmp_path / "other.jsonl", tmp_path / "other")
    fill(other, 14, "run-9")
    ten.path.write_bytes(other.path.read_bytes())
    found = ten.verify()
    assert (found.ok, found.first_bad) == (False, 10)
    assert found.reason == "its hash differs from the head's"
    ten.append("started", "deploy", "run-2")
    assert not ten.verify().ok


def test_a_history_that_a_newer_program_wrote_is_said_to_be_one(ten: History) -> None:
    head = ten.head()
    assert head is not None
    content = {"event": "step", "task": "deploy", "run": "run-1", "outcome": None}
    newer = {**chain.seal(content, head, "2030-01-01T00:00:00.000Z"), "v": 2}
    newer["hash"] = chain.digest_of(newer)
    with ten.path.open("ab") as file:
        file.write(chain.line_of(newer))
    put_head(ten, chain.Head.of(newer))
    found = ten.verify()
    assert (found.ok, found.first_bad) == (False, 11)
    assert found.reason == "is of another program version: v is 2, known is 1"
    assert ten.append("started", "deploy", "run-2")["seq"] == 12


def test_an_unreadable_history_is_an_error_that_names_it(open_to_all: History) -> None:
    open_to_all.path.chmod(0)
    for look in (open_to_all.verify, lambda: list(open_to_all.lines())):
        with powerless(), pytest.raises(HistoryError, match=r"history\.jsonl: Permission denied"):
            look()


def test_a_history_that_may_only_be_read_can_be_judged_and_not_appended_to(open_to_all: History) -> None:
    with powerless():
        assert (open_to_all.verify().ok, len(records(open_to_all))) == (True, 3)
        with pytest.raises(HistoryError, match="Permission denied") as caught:
            fill(open_to_all, 1)
    assert caught.value.exit_code == 7
    assert open_to_all.verify().records == 3


def test_the_same_history_under_a_second_state_has_lost_its_head_there(ten: History, tmp_path: Path) -> None:
    second = History(ten.path, tmp_path / "second")
    assert second.verify().reason == "head missing: the last record cannot be verified"
    second.append("started", "deploy", "run-2")
    assert (second.verify().ok, second.verify().first_bad) == (False, 11)
    assert (ten.verify().ok, ten.verify().first_bad) == (False, 11)
    ten.append("started", "deploy", "run-3")
    assert not ten.verify().ok


@pytest.mark.parametrize("content", ["{0}\n{0}", "[{0}, {0}]", '{{"seq": 10, "hash": "x", "seq": 10}}'])
def test_two_heads_in_one_file_are_none(ten: History, content: str) -> None:
    head = ten.state / "head.json"
    head.write_text(content.format(head.read_text()))
    assert (ten.head(), ten.verify().ok) == (None, False)


def test_records_that_go_back_in_time_are_kept_and_counted(history: History) -> None:
    head = chain.GENESIS
    for second in (5, 6, 4, 7, 3):
        content = {"event": "step", "task": "deploy", "run": "run-1", "outcome": None}
        record = chain.seal(content, head, f"2030-01-01T00:00:0{second}.000Z")
        head = chain.Head.of(record)
        with history.path.open("ab") as file:
            file.write(chain.line_of(record))
    put_head(history, head)
    found = history.verify()
    assert (found.ok, found.records, found.times_back) == (True, 5, 2)


def test_a_link_to_a_file_is_followed(history: History, tmp_path: Path) -> None:
    history.path.symlink_to(tmp_path / "elsewhere.jsonl")
    fill(history, 2)
    assert history.path.is_symlink()
    there = (tmp_path / "elsewhere.jsonl").read_bytes().splitlines()
    assert [json.loads(line) for line in there] == records(history)
    assert history.verify().records == 2


def fifo(path: Path) -> None:
    os.mkfifo(path)


def loop(path: Path) -> None:
    path.symlink_to(path.name)


def nowhere(path: Path) -> None:
    path.symlink_to("missing/history.jsonl")


@pytest.mark.parametrize("put", [fifo, loop, Path.mkdir])
def test_what_is_no_regular_file_is_an_error_for_all(history: History, put: object) -> None:
    assert callable(put)
    put(history.path)
    for look in (history.verify, lambda: list(history.lines()), lambda: next(history.proven())):
        with pytest.raises(HistoryError, match=r"history\.jsonl: "):
            look()
    with pytest.raises(HistoryError, match=r"history\.jsonl: "):
        fill(history, 1)


def endless(path: Path) -> None:
    """A link to a device of our own that reads as zeros: never to one of the machine, which a fault costs."""
    device = path.with_name("zeros")
    os.mknod(device, 0o600 | stat.S_IFCHR, os.makedev(1, 5))
    path.symlink_to(device)


AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root makes a device")


@pytest.mark.parametrize("put", [fifo, pytest.param(endless, marks=AS_ROOT)])
@pytest.mark.parametrize("name", ["state/head.json", "state/history.lock", ".history.jsonl.swiftdeploy-full"])
def test_what_never_ends_in_the_place_of_a_file_of_the_history_is_not_waited_for(
    tmp_path: Path, put: Callable[[Path], None], name: str
) -> None:
    history = History(tmp_path / "history.jsonl", tmp_path / "state")
    fill(history, 2)
    (tmp_path / name).unlink(missing_ok=True)
    put(tmp_path / name)
    for look in (history.verify, lambda: list(history.lines())):
        with pytest.raises(HistoryError, match=f"{Path(name).name}: not a regular file"):
            look()
    if name.endswith("full"):
        fill(history, 1)
        (tmp_path / name).unlink()
        assert history.verify().records == 3
    else:
        with pytest.raises(HistoryError, match="not a regular file"):
            fill(history, 1)


def test_a_link_that_leads_nowhere_cannot_be_written(history: History) -> None:
    nowhere(history.path)
    assert history.verify().ok
    with pytest.raises(HistoryError, match="No such file"):
        fill(history, 1)

"""What other programs append to the file causes no record to be dropped, and is not proven."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from swiftdeploy_tasks.history import chain, writer
from swiftdeploy_tasks.history.chain import Head, Record
from swiftdeploy_tasks.history.store import History
from swiftdeploy_tasks.report.integrity import Integrity
from tests.history.rotated import files_of, fill, records, small

GENUINE = 50


def append_raw(history: History, raw: bytes) -> None:
    with history.path.open("ab") as file:
        file.write(raw)


def next_line(history: History, **fields: Any) -> bytes:
    """A valid record that comes next after the head."""
    head = history.head()
    assert head
    content = {"event": "scrape", "task": "status", "run": "f", "outcome": "done", **fields}
    return chain.line_of(chain.seal(content, head, "2030-01-01T00:00:00.000Z"))


def self_hashed_line(history: History, **fields: Any) -> bytes:
    """A record whose hash is right, and that follows nothing."""
    content = {"event": "scrape", "task": "status", "run": "f", "outcome": "done", **fields}
    return chain.line_of(chain.seal(content, Head(6, "ab" * 32), "2030-01-01T00:00:00.000Z"))


def genuine(history: History) -> list[int]:
    seen = [line.record for line in history.lines() if line.record]
    return [record["number"] for record in seen if record["run"] == "genuine" and "number" in record]


def test_a_hundred_torn_lines_of_100_kb_cause_no_genuine_record_to_be_dropped(tmp_path: Path) -> None:
    history = small(tmp_path, max_bytes=100_000)
    fill(history, GENUINE, "genuine")
    for _ in range(110):
        append_raw(history, b"x" * 100_000)
        fill(history, 1)
    assert genuine(history) == list(range(GENUINE))
    found = history.verify()
    assert (found.ok, found.torn_lines, found.torn_bytes) == (True, 110, 11_000_000)
    assert "110 lines are not records (11000000 bytes)" in Integrity(found).torn
    kept = hashlib.sha256(b"x" * 100_000).hexdigest()
    assert (history.state / "torn" / kept).stat().st_size == 100_000


ADDED: dict[str, Callable[[History], bytes]] = {
    "a torn line": lambda _: b"x" * 2000,
    "a line of text": lambda _: b"x" * 2000 + b"\n",
    "a torn line that was kept before, many times": lambda _: b"x\n" * writer.CLOSED_OFF + b"x" * 2000,
    "a record that comes next": lambda h: next_line(h, filler="x" * 2000),
    "a record without its newline": lambda h: next_line(h, filler="x" * 2000)[:-1],
    "a record that follows nothing": lambda h: self_hashed_line(h, filler="x" * 2000),
    "lines that name the head": lambda h: b"".join(
        b"%s %d\n" % (next_line(h)[:-1], number) for number in range(150)
    ),
}


@pytest.mark.parametrize("added", ADDED.values(), ids=ADDED)
def test_what_other_programs_append_does_not_fill_the_file(
    tmp_path: Path, added: Callable[[History], bytes]
) -> None:
    history = small(tmp_path, max_bytes=6000, keep=2)
    fill(history, GENUINE // 2, "genuine")
    assert files_of(history)
    for _ in range(12):
        append_raw(history, added(history))
        fill(history, 1)
    assert genuine(history) == list(range(GENUINE // 2))


def test_our_own_records_still_fill_the_file_that_another_program_appended_to(tmp_path: Path) -> None:
    history = small(tmp_path, max_bytes=3000, keep=2)
    fill(history, 1)
    for _ in range(60):
        append_raw(history, b"x" * 1000)
        fill(history, 1)
        assert len(files_of(history)) <= 2
    assert history.verify().ok
    assert history.verify().dropped_by


@pytest.mark.parametrize("count", [None, "many", [1]])
def test_where_the_count_of_our_own_bytes_is_unknown_all_bytes_are_ours(
    tmp_path: Path, count: object
) -> None:
    history = small(tmp_path)
    fill(history, 2)
    append_raw(history, b"x" * 2000 + b"\n")
    head = json.loads((history.state / "head.json").read_text())
    (history.state / "head.json").write_text(json.dumps(head | {"own": count}))
    fill(history, 1)
    assert len(files_of(history)) == 1


def test_more_torn_lines_than_one_record_closes_off_stop_no_append_and_are_named(ten: History) -> None:
    append_raw(ten, b"x")
    fill(ten, 1)
    append_raw(ten, b"x\n" * 20_000 + b"x")
    fill(ten, 1)
    found = ten.verify()
    assert (found.ok, found.first_bad) == (False, 14)


def seqs(records: Any) -> list[int]:
    return [record["seq"] for record in records]


def test_all_records_of_a_whole_history_are_proven(tmp_path: Path) -> None:
    history = small(tmp_path)
    fill(history, 20)
    assert len(files_of(history)) > 2
    assert list(history.proven()) == records(history)[::-1]


def test_a_record_past_the_head_is_not_among_the_proven(ten: History) -> None:
    append_raw(ten, next_line(ten))
    assert seqs(ten.proven()) == list(range(10, 0, -1))


def test_a_record_that_was_taken_over_and_those_before_it_are_not_among_the_proven(ten: History) -> None:
    append_raw(ten, next_line(ten))
    assert fill(ten, 2)[-1]["seq"] == 13
    assert ten.verify().ok
    assert seqs(ten.proven()) == [13, 12]


def test_a_record_that_follows_nothing_ends_the_proven(ten: History) -> None:
    append_raw(ten, self_hashed_line(ten))
    assert seqs(ten.proven()) == list(range(10, 0, -1))
    fill(ten, 1)
    assert seqs(ten.proven()) == [11]


def test_a_torn_line_that_is_closed_off_is_no_break_and_another_line_is_one(ten: History) -> None:
    append_raw(ten, b"half")
    fill(ten, 1)
    assert seqs(ten.proven()) == list(range(12, 0, -1))
    append_raw(ten, b"text\n")
    fill(ten, 1)
    assert seqs(ten.proven()) == [13]


def test_nothing_before_a_lost_head_is_proven_and_nothing_without_one(ten: History) -> None:
    (ten.state / "head.json").unlink()
    assert seqs(ten.proven()) == []
    fill(ten, 1)
    assert seqs(ten.proven()) == [12, 11]


def test_a_record_that_was_edited_with_its_hash_ends_the_proven(ten: History) -> None:
    lines = ten.path.read_bytes().splitlines(True)
    edited: Record = {**json.loads(lines[4]), "number": 99}
    edited["hash"] = chain.digest_of(edited)
    ten.path.write_bytes(b"".join([*lines[:4], chain.line_of(edited), *lines[5:]]))
    assert seqs(ten.proven()) == [10, 9, 8, 7, 6]

"""A line that another program appended is not proven, excuses no missing record and stops no append."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from swiftdeploy_tasks.history import chain, links, rotation
from swiftdeploy_tasks.history.chain import GENESIS, Head, Record
from swiftdeploy_tasks.history.links import Proven
from swiftdeploy_tasks.history.store import History
from swiftdeploy_tasks.history.writer import Writer
from swiftdeploy_tasks.report.builder import build_report
from swiftdeploy_tasks.report.integrity import Integrity
from tests.history.rotated import files_of, fill, put_head, records, small, unpacked


def forged(history: History, event: str, **fields: Any) -> Record:
    """A record that comes next after the head, put there by another program."""
    head = history.head()
    assert head
    content = {"event": event, "task": "audit", "run": "f", "outcome": None, **fields}
    record = chain.seal(content, head, "2030-01-01T00:00:00.000Z")
    with history.path.open("ab") as file:
        file.write(chain.line_of(record))
    return record


def gone(first: int, last: int, last_hash: str) -> dict[str, object]:
    return {"file": "000001.jsonl.xz", "first": first, "last": last, "last_hash": last_hash}


def told(history: History) -> str:
    return Integrity(history.verify()).verdict


def test_a_record_past_the_head_is_whole_and_not_proven(ten: History) -> None:
    forged(ten, "cut_off")
    found = ten.verify()
    assert (found.ok, found.records, found.proven, found.past_head) == (True, 11, Proven(1, 10), 11)
    verdict = Integrity(found).verdict
    assert "The 10 records link to the head; none was changed or removed." in verdict
    assert "Record 11 is past the head, as a crash leaves one, and is not verified." in verdict
    (event,) = build_report(records(ten), Integrity(found)).events
    assert (event.seq, event.proven) == (11, False)


def test_a_first_record_without_its_head_proves_nothing_yet(history: History) -> None:
    fill(history, 1)
    put_head(history, GENESIS)
    found = history.verify()
    assert (found.ok, found.proven, found.past_head) == (True, None, 1)
    assert Integrity(found).verdict == (
        "Record 1 is past the head, as a crash leaves one, and is not verified."
    )


@pytest.mark.parametrize("left", [4, 0], ids=["the first six", "all"])
def test_what_was_removed_is_not_excused_by_a_drop_past_the_head(ten: History, left: int) -> None:
    lines = ten.path.read_bytes().splitlines(True)
    removed = len(lines) - left
    ten.path.write_bytes(b"".join(lines[removed:]))
    forged(ten, "dropped", **gone(1, removed, json.loads(lines[removed - 1])["hash"]))
    for _ in range(3):
        found = ten.verify()
        assert (found.ok, found.dropped_by, found.first_bad) == (False, None, 1)
        fill(ten, 1)


def test_a_drop_that_was_taken_up_excuses_no_later_removal(ten: History) -> None:
    lines = ten.path.read_bytes().splitlines(True)
    forged(ten, "dropped", **gone(1, 6, json.loads(lines[5])["hash"]))
    fill(ten, 1)
    ten.path.write_bytes(b"".join(ten.path.read_bytes().splitlines(True)[6:]))
    assert not ten.verify().ok


def test_a_drop_that_the_head_covers_counts_only_where_a_rotation_writes_it(ten: History) -> None:
    lines = ten.path.read_bytes().splitlines(True)
    put_head(ten, Head.of(forged(ten, "dropped", **gone(1, 6, json.loads(lines[5])["hash"]))))
    ten.path.write_bytes(b"".join(ten.path.read_bytes().splitlines(True)[6:]))
    found = ten.verify()
    assert (found.ok, found.first_bad) == (False, 1)


def test_a_drop_right_behind_a_rotation_counts_only_when_the_head_covers_it(ten: History) -> None:
    lines = ten.path.read_bytes().splitlines(True)
    rotated = forged(ten, "rotated", file="000001.jsonl.xz", last=10)
    put_head(ten, Head.of(rotated))
    dropped = forged(ten, "dropped", **gone(1, 6, json.loads(lines[5])["hash"]))
    ten.path.write_bytes(b"".join(ten.path.read_bytes().splitlines(True)[6:]))
    assert not ten.verify().ok
    put_head(ten, Head.of(dropped))
    assert ten.verify().ok


def test_rotated_files_that_are_gone_are_not_excused_by_a_drop_past_the_head(tmp_path: Path) -> None:
    history = small(tmp_path)
    fill(history, 24)
    paths = files_of(history)
    last = json.loads(unpacked(paths[1]).splitlines()[-1])
    for path in paths[:2]:
        path.unlink()
    forged(history, "dropped", **gone(1, last["seq"], last["hash"]) | {"file": paths[1].name})
    for _ in range(2):
        found = history.verify()
        assert (found.ok, found.first_bad_file) == (False, paths[1])
        assert "no verified record says that age dropped them" in found.reason
        fill(history, 1)


def dropping(folder: Path) -> tuple[History, bytes]:
    """A history whose newest file begins with a drop that a crash left without its head, and that line."""
    history = small(folder, max_bytes=900, keep=2)
    fill(history, 30)
    path, head = files_of(history)[0], history.head()
    numbers = [rotation.number_of(one.name) for one in files_of(history)]
    said = Writer(history.path, history.state, history.limits, print, {})._droppable(numbers[0], numbers[1])
    assert said and head and path.name == said["file"]
    return history, chain.line_of(forged(history, "dropped", **said))


def test_a_drop_that_a_crash_left_is_taken_up_while_its_file_is_there(tmp_path: Path) -> None:
    history, line = dropping(tmp_path)
    assert history.verify().ok
    following = fill(history, 1)[0]
    assert json.loads(line) in records(history)
    assert following["seq"] > json.loads(line)["seq"]
    assert history.verify().ok
    fill(history, 40)
    assert (history.verify().ok, len(files_of(history))) == (True, 2)


def test_a_drop_that_says_what_is_not_so_is_not_taken_up(tmp_path: Path) -> None:
    history, line = dropping(tmp_path)
    history.path.write_bytes(history.path.read_bytes().removesuffix(line))
    said = json.loads(line)
    forged(
        history,
        "dropped",
        **gone(said["first"], said["last"] + 1, said["last_hash"]) | {"file": said["file"]},
    )
    fill(history, 1)
    found = history.verify()
    assert not found.ok


def unwritable(head: Head, text: str) -> bytes:
    """A line whose own bytes have its hash, but that no writer of ours can write."""
    base = {"event": "note", "outcome": None, "prev": head.hash, "run": "f", "seq": head.seq + 1}
    base |= {"task": "x", "time": "2030-01-01T00:00:00.000Z", "v": 1}
    body = json.dumps(base, sort_keys=True, separators=(",", ":"))[:-1] + f",{text}}}"
    return b'{"hash":"%s",%s\n' % (hashlib.sha256(body.encode()).hexdigest().encode(), body[1:].encode())


@pytest.mark.parametrize("end", [b"\n", b""], ids=["a line", "without its newline"])
@pytest.mark.parametrize(
    "text",
    ['"x":1e999', '"x":"\\ud800"', '"x":"\\uD83D."', '"x":' + "[" * 990 + "]" * 990],
    ids=["infinite", "half a character", "another", "deep"],
)
def test_what_cannot_be_written_back_is_named_and_stops_no_append(
    ten: History, text: str, end: bytes
) -> None:
    head = ten.head()
    assert head
    with ten.path.open("ab") as file:
        file.write(unwritable(head, text).removesuffix(b"\n") + end)
    if end:
        found = ten.verify()
        assert (found.ok, found.first_bad, found.proven) == (False, 11, Proven(1, 10))
    fill(ten, 1)
    for line in ten.lines():
        if line.record:
            Integrity(ten.verify()).verdict.encode()
            json.dumps(line.record, ensure_ascii=False).encode()
    assert ten.verify().proven


def test_more_bad_lines_than_can_be_closed_off_are_named(ten: History) -> None:
    lines = ten.path.read_bytes().splitlines(True)
    flood = links.MOST_TORN + 5000
    ten.path.write_bytes(b"".join([*lines[:4], b"\n" * flood, *lines[4:], b"x\n" * flood]))
    found = ten.verify()
    assert (found.ok, found.first_bad, found.proven) == (False, 5, Proven(1, 10))


def test_a_last_line_that_lost_its_newline_is_said_to_and_is_proven(ten: History) -> None:
    ten.path.write_bytes(ten.path.read_bytes()[:-1])
    assert told(ten) == (
        "Line 10 of history.jsonl: does not end in a newline. Verified by the head: records 1 to 10."
    )


def test_one_missing_record_is_reported_in_the_singular(ten: History) -> None:
    ten.path.write_bytes(b"".join(ten.path.read_bytes().splitlines(True)[:9]))
    assert "truncated: missing record 10." in told(ten)

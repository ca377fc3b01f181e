"""Rotation: a full file is compressed, the chain runs on, and a crash or a change is found."""

from __future__ import annotations

import json
import math
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from swiftdeploy_tasks.history import chain, rotation
from swiftdeploy_tasks.history.chain import Head
from swiftdeploy_tasks.history.store import History
from swiftdeploy_tasks.manifest.model import HistoryLimits
from swiftdeploy_tasks.settings import GENERATED
from tests.history.rotated import files_of, fill, records, repack, small, unpacked

SCHEMA = json.loads((Path(__file__).parents[2] / "schema" / "history.schema.json").read_text())


@pytest.fixture
def rotated(tmp_path: Path) -> History:
    """A history in three rotated files and the present one."""
    history = small(tmp_path)
    while len(files_of(history)) < 3:
        fill(history, 1)
    fill(history, 1)
    return history


def test_a_full_file_is_compressed_and_the_chain_runs_through(rotated: History) -> None:
    found = records(rotated)
    assert [record["seq"] for record in found] == list(range(1, len(found) + 1))
    assert rotated.path.stat().st_size < rotated.limits.max_bytes
    assert [path.name for path in files_of(rotated)] == [f"{n:06}.jsonl.xz" for n in (1, 2, 3)]
    verified = rotated.verify()
    assert (verified.ok, verified.records, verified.head) == (True, len(found), Head.of(found[-1]))


def test_the_new_file_begins_by_naming_the_one_it_follows(rotated: History) -> None:
    first = json.loads(rotated.path.read_bytes().splitlines()[0])
    before = json.loads(unpacked(files_of(rotated)[-1]).splitlines()[-1])
    assert (first["event"], first["file"], first["last"]) == ("rotated", "000003.jsonl.xz", before["seq"])
    assert (first["prev"], first["task"], first["run"]) == (before["hash"], "deploy", "run-1")


def test_each_line_tells_its_file_and_its_number_there(rotated: History) -> None:
    lines = list(rotated.lines())
    for path in (*files_of(rotated), rotated.path):
        mine = [line for line in lines if line.file == path]
        assert [line.number for line in mine] == list(range(1, len(mine) + 1))
        assert mine
    assert len({line.file for line in lines}) == 4


def test_the_proven_are_the_same_records_newest_first(rotated: History) -> None:
    assert list(rotated.proven()) == records(rotated)[::-1]


def test_what_only_the_last_records_are_wanted_of_is_not_unpacked(rotated: History) -> None:
    last = records(rotated)[-1]
    for path in files_of(rotated):
        path.write_bytes(b"garbage")
    assert next(rotated.proven()) == last


def test_rotated_files_are_readable_by_their_owner_alone(rotated: History) -> None:
    folder = rotated.state / "history"
    modes = {stat.S_IMODE(path.stat().st_mode) for path in files_of(rotated)}
    assert (stat.S_IMODE(folder.stat().st_mode), modes) == (0o700, {0o600})


def test_a_history_that_is_a_link_stays_one(tmp_path: Path) -> None:
    history, elsewhere = small(tmp_path), tmp_path / "elsewhere"
    elsewhere.mkdir()
    history.path.symlink_to(elsewhere / "kept.jsonl")
    fill(history, 12)
    assert (history.path.is_symlink(), len(files_of(history))) == (True, 2)
    assert sorted(path.name for path in elsewhere.iterdir()) == ["kept.jsonl"]
    assert history.verify().ok


def test_old_files_are_dropped_and_a_record_says_what_they_were(tmp_path: Path) -> None:
    history = small(tmp_path, keep=2)
    written = fill(history, 40)
    everything = {record["seq"]: record for record in written}
    found = records(history)
    assert len(files_of(history)) == 2
    dropped = [record for record in found if record["event"] == "dropped"]
    assert dropped[-1]["last"] + 1 == found[0]["seq"]
    assert dropped[-1]["last_hash"] == found[0]["prev"]
    assert dropped[-1]["first"] == dropped[-2]["last"] + 1
    assert rotation.number_of(dropped[-1]["file"]) + 1 == rotation.number_of(files_of(history)[0].name)
    assert everything[dropped[-1]["last"]]["hash"] == dropped[-1]["last_hash"]
    assert history.verify().ok
    for record in found:
        jsonschema.Draft202012Validator(SCHEMA).validate(record)


def test_lowering_keep_comes_down_step_by_step(tmp_path: Path) -> None:
    fill(small(tmp_path), 60)
    history = small(tmp_path, keep=1)
    fill(history, 60)
    assert len(files_of(history)) == 1
    assert history.verify().ok


def test_raising_keep_for_a_while_does_not_forget_what_was_dropped(tmp_path: Path) -> None:
    fill(small(tmp_path, keep=2), 30)
    fill(small(tmp_path, keep=9), 30)
    history = small(tmp_path, keep=2)
    fill(history, 60)
    assert (len(files_of(history)), history.verify().ok) == (2, True)


def test_nothing_of_a_history_is_what_a_clean_teardown_removes(rotated: History) -> None:
    there = {path.name for path in rotated.state.iterdir()}
    assert there == {"head.json", "history", "history.lock"}
    assert there.isdisjoint(GENERATED)


def test_a_file_that_does_not_prove_itself_is_never_dropped(rotated: History) -> None:
    oldest = files_of(rotated)[0]
    lines = unpacked(oldest).splitlines(True)
    repack(oldest, b"".join(lines[:1] + lines[2:]))
    history = small(rotated.path.parent, keep=1)
    fill(history, 30)
    assert oldest.exists()
    found = history.verify()
    assert (found.ok, found.first_bad, found.first_bad_file) == (False, 2, oldest)


def test_what_was_taken_away_before_is_not_covered_by_a_later_drop(tmp_path: Path) -> None:
    history = small(tmp_path)
    fill(history, 20)
    gone, next_one = files_of(history)[:2]
    gone.unlink()
    history = small(tmp_path, keep=1)
    fill(history, 30)
    assert next_one.exists()
    found = history.verify()
    assert (found.ok, found.first_bad, found.first_bad_file) == (False, 1, gone)
    assert "no verified record says that age dropped them" in found.reason


def test_more_than_what_was_dropped_may_not_be_missing(tmp_path: Path) -> None:
    history = small(tmp_path, keep=3)
    fill(history, 40)
    oldest = files_of(history)[0]
    oldest.unlink()
    found = history.verify()
    assert (found.ok, found.first_bad_file, found.first_bad) == (False, oldest, 1)


Files = list[bytes]


def swapped(lines: list[bytes], one: int, other: int) -> bytes:
    lines[one], lines[other] = lines[other], lines[one]
    return b"".join(lines)


def change(history: History, at: int, how: Callable[[list[bytes]], bytes]) -> None:
    path = files_of(history)[at]
    repack(path, how(unpacked(path).splitlines(True)))


def exchange(history: History, one: int, other: int) -> None:
    paths = files_of(history)
    contents = paths[one].read_bytes(), paths[other].read_bytes()
    paths[other].write_bytes(contents[0])
    paths[one].write_bytes(contents[1])


def cut(history: History, at: int, left: int) -> None:
    path = files_of(history)[at]
    path.write_bytes(path.read_bytes()[:left])


# What was done, the first bad file and line, and a part of the reason.
TAMPERED: dict[str, tuple[Callable[[History], object], int, int, str]] = {
    "a line edited": (
        lambda h: change(h, 1, lambda b: b"".join(b).replace(b'"number":0', b'"number":1')),
        1,
        2,
        "",
    ),
    "a line removed": (lambda h: change(h, 1, lambda b: b"".join(b[:2] + b[3:])), 1, 3, ""),
    "the first line removed": (lambda h: change(h, 1, lambda b: b"".join(b[1:])), 1, 1, ""),
    "the last line removed": (lambda h: change(h, 1, lambda b: b"".join(b[:-1])), 2, 1, ""),
    "two lines swapped": (lambda h: change(h, 1, lambda b: swapped(b, 1, 2)), 1, 2, ""),
    "a line duplicated": (lambda h: change(h, 1, lambda b: b"".join(b[:2] + b[1:])), 1, 3, ""),
    "garbage inserted": (lambda h: change(h, 1, lambda b: b"".join([b[0], b"x\n", *b[1:]])), 1, 2, "JSON"),
    "the last newline removed": (lambda h: change(h, 1, lambda b: b"".join(b)[:-1]), 1, 6, "newline"),
    "emptied": (lambda h: change(h, 1, lambda b: b""), 2, 1, ""),
    "the oldest gone": (lambda h: files_of(h)[0].unlink(), 0, 1, "missing"),
    "one gone between": (lambda h: files_of(h)[1].unlink(), 1, 1, "the file is gone"),
    "the newest gone": (lambda h: files_of(h)[2].unlink(), 3, 1, "does not follow"),
    "two swapped": (lambda h: exchange(h, 1, 2), 1, 1, ""),
    "the first two swapped": (lambda h: exchange(h, 0, 1), 0, 1, ""),
    "not an archive": (lambda h: files_of(h)[1].write_bytes(b"garbage" * 99), 1, 1, "damaged"),
    "an empty file": (lambda h: cut(h, 1, 0), 1, 1, "damaged"),
    "cut short": (lambda h: cut(h, 1, -3), 1, 7, "damaged"),
    "bytes after its end": (
        lambda h: files_of(h)[1].write_bytes(files_of(h)[1].read_bytes() + b"\0\0\0\0"),
        1,
        7,
        "damaged",
    ),
    "the present file gone": (lambda h: h.path.unlink(), 3, 1, ""),
    "the present file's first line removed": (
        lambda h: h.path.write_bytes(b"".join(h.path.read_bytes().splitlines(True)[1:])),
        3,
        1,
        "",
    ),
}


@pytest.mark.parametrize(("tamper", "file", "line", "word"), TAMPERED.values(), ids=TAMPERED)
def test_tampering_is_named_with_its_file_and_line_and_no_append_hides_it(
    rotated: History, tamper: Callable[[History], object], file: int, line: int, word: str
) -> None:
    paths = [*files_of(rotated), rotated.path]
    tamper(rotated)
    found = rotated.verify()
    assert (found.ok, found.first_bad_file, found.first_bad) == (False, paths[file], line), found.reason
    assert word in found.reason
    fill(rotated, 12)
    assert not rotated.verify().ok


def test_a_verification_restarts_where_a_file_is_dropped_while_it_reads(rotated: History) -> None:
    readings = 0

    def through(lines: Iterator[chain.Line]) -> Iterator[chain.Line]:
        nonlocal readings
        readings += 1
        for line in lines:
            yield line
            if readings == 1 and line.record and line.record["seq"] == 1:
                fill(small(rotated.path.parent, keep=1), 20)

    assert rotated.verify(through=through).ok
    assert readings == 2


def test_a_tail_that_is_lost_with_its_file_is_named_where_it_should_stand(rotated: History) -> None:
    lines = rotated.path.read_bytes().splitlines(True)
    rotated.path.write_bytes(lines[0])
    found = rotated.verify()
    assert (found.first_bad_file, found.first_bad, found.reason[:9]) == (rotated.path, 2, "truncated")


def test_a_lost_head_continues_from_the_newest_rotated_file(rotated: History) -> None:
    last = json.loads(unpacked(files_of(rotated)[-1]).splitlines()[-1])
    rotated.path.unlink()
    (rotated.state / "head.json").unlink()
    rotated.append("started", "deploy", "run-2")
    lost = json.loads(rotated.path.read_bytes().splitlines()[0])
    assert (lost["event"], lost["seq"]) == ("head_lost", last["seq"] + 1)
    found = rotated.verify()
    assert (found.ok, found.first_bad_file, found.first_bad) == (False, rotated.path, 1)


def test_a_half_line_is_closed_off_before_its_file_is_rotated(tmp_path: Path) -> None:
    history = small(tmp_path)
    fill(history, 3)
    with history.path.open("ab") as file:
        file.write(b'{"half' + b"x" * 1500)
    fill(history, 1)
    assert files_of(history) == []
    fill(history, 3)
    assert len(files_of(history)) == 1
    assert history.verify().ok
    assert [record["event"] for record in history.proven()].count("torn") == 1


@pytest.mark.parametrize("limit", [1, 4000])
def test_the_witness_of_a_crash_is_the_next_append(tmp_path: Path, limit: int) -> None:
    """Between the moving aside and the end, all is read once, and the next append ends it."""
    history = small(tmp_path)
    fill(history, 3)
    history.path.rename(rotation.full_file(history.path))
    before = records(history)
    assert [record["seq"] for record in before] == [1, 2, 3]
    History(history.path, history.state, HistoryLimits(max_bytes=limit)).append("step", "deploy", "run-2")
    assert not rotation.full_file(history.path).exists()
    assert (history.verify().ok, len(files_of(history))) == (True, 1)
    assert records(history)[:3] == before


def dies_at(history: History, step: int, written: float) -> bool:
    """Append in a child that dies at its `step`th effect (a write: after this part of it); whether it did."""
    child = os.fork()
    if child == 0:
        die_at(step, written)
        history.append("started", "deploy", "run-2")
        os._exit(0)
    return os.waitpid(child, 0)[1] != 0


def die_at(step: int, written: float) -> None:
    names = ("write", "fsync", "replace", "rename", "unlink")
    effects: dict[str, Callable[..., Any]] = {name: getattr(os, name) for name in names}
    left = iter(range(step, -1, -1))

    def dying(name: str) -> Callable[..., Any]:
        def effect(*args: Any, **kwargs: Any) -> Any:
            if next(left):
                return effects[name](*args, **kwargs)
            if name == "write":
                effects[name](args[0], args[1][: math.ceil(len(args[1]) * written)])
            os._exit(9)

        return effect

    for name in effects:
        setattr(os, name, dying(name))


@pytest.mark.parametrize(("keep", "written"), [(100, 0.0), (1, 0.5)], ids=["kept", "dropped"])
def test_a_crash_at_any_point_of_a_rotation_loses_and_repeats_nothing(
    tmp_path: Path, keep: int, written: float
) -> None:
    for step in range(80):
        history = small(tmp_path / str(step), max_bytes=900, keep=keep)
        history.path.parent.mkdir()
        kept = fill(history, 4 if keep == 100 else 8)[-1]
        while history.path.stat().st_size < 900:
            kept = fill(history, 1)[0]
        died = dies_at(history, step, written)
        found = [record["seq"] for record in records_with_torn(history)]
        assert found == list(range(found[0], found[0] + len(found)))
        assert kept["seq"] in found
        assert history.verify().ok, (step, history.verify())
        history.append("started", "deploy", "run-3")
        after = [record["seq"] for record in records_with_torn(history)]
        assert after == list(range(after[0], after[0] + len(after)))
        assert history.verify().ok, (step, history.verify())
        assert kept["seq"] in after or keep == 1
        assert not rotation.full_file(history.path).exists()
        if not died:
            return
    pytest.fail("the append never came to its end")


def records_with_torn(history: History) -> list[chain.Record]:
    return [line.record for line in history.lines() if line.record]


def test_where_it_cannot_be_rotated_the_history_grows_on_and_that_is_said(tmp_path: Path) -> None:
    said: list[str] = []
    history = History(tmp_path / "history.jsonl", tmp_path / "state", HistoryLimits(900), said.append)
    history.state.mkdir()
    (history.state / "history").touch()
    fill(history, 8)
    assert (len(records_with_torn(history)), history.verify().ok) == (8, True)
    assert str(history.state / "history") in said[0]
    (history.state / "history").unlink()
    fill(history, 1)
    assert (len(files_of(history)), history.verify().ok) == (1, True)

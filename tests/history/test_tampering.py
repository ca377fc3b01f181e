"""Every change of a history is found, with its line; an unchanged one verifies."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swiftdeploy_tasks.history import chain, verification
from swiftdeploy_tasks.history.chain import Head, Line
from swiftdeploy_tasks.history.store import History
from swiftdeploy_tasks.history.verification import Verification

Lines = list[bytes]


def edited(line: bytes, **fields: Any) -> bytes:
    return chain.line_of({**json.loads(line), **fields})


def rehashed(line: bytes, **fields: Any) -> bytes:
    record = {**json.loads(line), **fields}
    return chain.line_of({**record, "hash": chain.digest_of(record)})


def rewritten(lines: Lines, at: int) -> Lines:
    """The history with line `at` changed and every later hash computed again."""
    records, head = [json.loads(line) for line in lines], Head(0, "0" * 64)
    records[at]["number"] = 99
    for index, record in enumerate(records):
        records[index] = chain.seal(record, head, record["time"])
        head = Head.of(records[index])
    return [chain.line_of(record) for record in records]


TAMPERED: dict[str, tuple[Callable[[Lines], Lines], int, str]] = {
    "edited": (lambda b: [*b[:4], edited(b[4], number=99), *b[5:]], 5, ""),
    "edited and rehashed": (lambda b: [*b[:4], rehashed(b[4], number=99), *b[5:]], 5, ""),
    "first edited and rehashed": (lambda b: [rehashed(b[0], number=99), *b[1:]], 1, ""),
    "last edited and rehashed": (lambda b: [*b[:9], rehashed(b[9], number=99)], 10, ""),
    "all rewritten from a line on": (lambda b: rewritten(b, 4), 10, ""),
    "spelled otherwise": (lambda b: [*b[:4], b[4].replace(b'"seq":5', b'"seq" :5'), *b[5:]], 5, ""),
    "first removed": (lambda b: b[1:], 1, ""),
    "removed": (lambda b: [*b[:4], *b[5:]], 5, ""),
    "three removed": (lambda b: [*b[:4], *b[7:]], 5, ""),
    "last removed": (lambda b: b[:9], 10, ""),
    "all removed": (lambda b: [], 1, ""),
    "cut within a line": (lambda b: [*b[:6], b[6][:30]], 7, ""),
    "newline removed": (lambda b: [*b[:9], b[9][:-1]], 10, "does not end in a newline"),
    "foreign inserted": (lambda b: [*b[:4], rehashed(b[4], run="other", seq=5), *b[4:]], 5, ""),
    "inserted at the end": (lambda b: [*b, rehashed(b[9], run="other")], 11, ""),
    "blank inserted": (lambda b: [*b[:4], b"\n", *b[4:]], 5, "not a record"),
    "garbage inserted": (lambda b: [*b[:4], b"hello\n", *b[4:]], 5, "not a record"),
    "garbage at the end": (lambda b: [*b, b"hello\n"], 11, "not a record"),
    "long line inserted": (lambda b: [*b[:4], b"x" * 2_500_000 + b"\n", *b[4:]], 5, "longer than"),
    "neighbours swapped": (lambda b: [*b[:4], b[5], b[4], *b[6:]], 5, ""),
    "far ones swapped": (lambda b: [*b[:2], b[8], *b[3:8], b[2], b[9]], 3, ""),
    "last two swapped": (lambda b: [*b[:8], b[9], b[8]], 9, ""),
    "duplicated": (lambda b: [*b[:5], b[4], *b[5:]], 6, ""),
    "duplicated far away": (lambda b: [*b[:8], b[4], *b[8:]], 9, ""),
    "last duplicated": (lambda b: [*b, b[9]], 11, ""),
    "not an object": (lambda b: [*b[:4], b"[1]\n", *b[5:]], 5, "not a JSON object"),
    "wrong type": (lambda b: [*b[:4], rehashed(b[4], task=3), *b[5:]], 5, "task"),
    "a boolean for a number": (lambda b: [rehashed(b[0], seq=True), *b[1:]], 1, "seq"),
    "no time": (lambda b: [*b[:4], rehashed(b[4], time="yesterday"), *b[5:]], 5, "time"),
    "newer": (lambda b: [*b[:4], rehashed(b[4], v=2), *b[5:]], 5, "v is 2"),
    "not a number": (lambda b: [*b[:4], b[4].replace(b'"number":4', b'"number":NaN'), *b[5:]], 5, "not JSON"),
    "not UTF-8": (lambda b: [*b[:4], b[4].replace(b"run-1", b"run-\xff"), *b[5:]], 5, "UTF-8"),
}


@pytest.mark.parametrize(("change", "bad", "word"), TAMPERED.values(), ids=TAMPERED)
def test_tampering_is_named_with_its_line(
    ten: History, change: Callable[[Lines], Lines], bad: int, word: str
) -> None:
    lines = ten.path.read_bytes().splitlines(True)
    ten.path.write_bytes(b"".join(change(lines)))
    found = ten.verify()
    assert (found.ok, found.first_bad) == (False, bad)
    assert word in found.reason
    assert found.reason


@pytest.mark.parametrize("change", [change for change, _, _ in TAMPERED.values()], ids=TAMPERED)
def test_no_later_append_makes_a_broken_history_look_whole(
    ten: History, change: Callable[[Lines], Lines]
) -> None:
    ten.path.write_bytes(b"".join(change(ten.path.read_bytes().splitlines(True))))
    for _ in range(3):
        ten.append("started", "audit", "run-2")
        assert not ten.verify().ok


def test_an_empty_history_and_none_at_all_are_whole(history: History) -> None:
    assert (history.verify().ok, history.verify().records) == (True, 0)
    history.path.touch()
    assert history.verify().ok


def test_what_is_appended_while_a_history_is_verified_is_not_held_against_it(
    ten: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    verify = verification.verify

    def verify_late(lines: Iterable[Line], head: Head | None, **given: Any) -> Verification:
        for _ in range(3):
            ten.append("scrape", "status", "run-2")
        return verify(lines, head, **given)

    monkeypatch.setattr(verification, "verify", verify_late)
    assert (ten.verify().ok, ten.verify().records) == (True, 13)


def test_lines_are_read_with_their_number_and_what_is_wrong(ten: History) -> None:
    lines = ten.path.read_bytes().splitlines(True)
    ten.path.write_bytes(b"".join([lines[0], b"x" * 2_000_000 + b"\n", lines[2], b'{"half']))
    found = list(ten.lines())
    assert [(line.number, bool(line.record), line.size, line.terminated) for line in found] == [
        (1, True, len(lines[0]) - 1, True),
        (2, False, 2_000_000, True),
        (3, True, len(lines[2]) - 1, True),
        (4, False, 6, False),
    ]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters()), inner, max_size=4),
    max_leaves=12,
)
own_keys = st.text(st.characters()).filter(
    lambda key: key not in {*chain.CHAINED, "event", "task", "run", "outcome", "self"}
)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.dictionaries(own_keys, json_values, max_size=4), min_size=1, max_size=3))
def test_any_fields_survive_the_round_trip_and_verify(contents: list[dict[str, Any]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        history = History(Path(folder, "history.jsonl"), Path(folder, "state"))
        returned = [history.append("step", "deploy", "run-1", **content) for content in contents]
        assert [line.record for line in history.lines()] == returned
        assert (history.verify().ok, history.verify().records) == (True, len(contents))

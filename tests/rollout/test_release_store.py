from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from swiftdeploy_tasks.rollout import release_store
from tests.rollout.plan_states import NEW, OLD, THIRD, release


def stacked(folder: Path) -> list[str]:
    return [row.version for row in release_store.stack(release_store.confirmations(folder))]


def kept(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.is_dir()}


def test_before_the_first_confirmation_there_is_none(tmp_path: Path) -> None:
    assert release_store.confirmations(tmp_path / "none") == ()
    assert release_store.present(tmp_path / "none") == ""
    assert release_store.description(tmp_path / "none", OLD.id) is None
    assert not release_store.was_rolled_back(tmp_path / "none", OLD.id)


def test_each_confirmation_goes_on_top_and_ends_the_one_before(tmp_path: Path) -> None:
    for each in (OLD, NEW, OLD):
        release_store.confirm(tmp_path, each)
    first, second, third = release_store.confirmations(tmp_path)
    assert stacked(tmp_path) == ["1", "2", "1"]
    assert release_store.present(tmp_path) == OLD.id
    assert (first.until, second.until, third.until) == (second.since, third.since, None)
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", row.since) for row in (first, second))


def test_what_is_on_top_already_is_not_put_there_again(tmp_path: Path) -> None:
    release_store.confirm(tmp_path, OLD)
    before = release_store.confirmations(tmp_path)
    release_store.confirm(tmp_path, OLD)
    assert release_store.confirmations(tmp_path) == before


def test_a_release_is_kept_whole_and_for_this_user_alone(tmp_path: Path) -> None:
    release_store.confirm(tmp_path / "releases", NEW)
    assert release_store.description(tmp_path / "releases", NEW.id) == NEW
    paths = sorted((tmp_path / "releases").rglob("*"))
    assert {path.stat().st_mode & 0o777 for path in paths if path.is_file()} == {0o600}
    assert {path.stat().st_mode & 0o777 for path in paths if path.is_dir()} == {0o700}


def test_a_rollback_takes_what_is_above_off_the_stack_and_keeps_its_rows(tmp_path: Path) -> None:
    for each in (OLD, NEW, THIRD):
        release_store.confirm(tmp_path, each)
    release_store.roll_back(tmp_path, release_store.confirmations(tmp_path)[0])
    assert stacked(tmp_path) == ["1"]
    assert release_store.present(tmp_path) == OLD.id
    rows = release_store.confirmations(tmp_path)
    assert [(row.version, row.rolled_back) for row in rows] == [("1", False), ("2", True), ("3", True)]
    assert rows[0].until is None and rows[1].until and rows[2].until


def test_a_release_is_barred_only_while_a_rollback_was_the_last_that_happened_to_it(tmp_path: Path) -> None:
    release_store.confirm(tmp_path, OLD)
    release_store.confirm(tmp_path, NEW)
    release_store.roll_back(tmp_path, release_store.confirmations(tmp_path)[0])
    assert release_store.was_rolled_back(tmp_path, NEW.id)
    assert not release_store.was_rolled_back(tmp_path, OLD.id)
    release_store.confirm(tmp_path, NEW)
    assert stacked(tmp_path) == ["1", "2"]
    assert not release_store.was_rolled_back(tmp_path, NEW.id)


def test_the_last_five_are_kept(tmp_path: Path) -> None:
    seven = [release(str(number)) for number in range(7)]
    for each in seven:
        release_store.confirm(tmp_path, each)
    assert kept(tmp_path) == {each.id for each in seven[-5:]}
    assert len(release_store.confirmations(tmp_path)) == 7


def test_what_the_next_rollback_goes_to_is_kept_however_many_were_rolled_back_since(tmp_path: Path) -> None:
    six = [release(str(number)) for number in range(6)]
    for each in six:
        release_store.confirm(tmp_path, each)
    release_store.roll_back(tmp_path, release_store.confirmations(tmp_path)[1])
    release_store.confirm(tmp_path, release("7"))
    assert stacked(tmp_path) == ["0", "1", "7"]
    assert release_store.description(tmp_path, six[1].id) == six[1]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[",
        b"null",
        b"5",
        b'"text"',
        b"[5]",
        b'["text"]',
        b'{"a": 1}',
        b'[{"release": "x"}]',
        b'[{"release": "x", "mode": "stable", "version": "1", "since": "", "more": 1}]',
        b"\xff\xfe",
    ],
    ids=lambda content: repr(content[:20]),
)
def test_a_stack_that_cannot_be_read_is_empty_and_can_be_begun_again(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "confirmed.json").write_bytes(content)
    assert release_store.confirmations(tmp_path) == ()
    release_store.confirm(tmp_path, NEW)
    assert stacked(tmp_path) == ["2"]


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff\xfe"], ids=["empty", "nothing in it", "no text"])
def test_a_description_that_cannot_be_read_is_gone(tmp_path: Path, content: bytes) -> None:
    release_store.confirm(tmp_path, NEW)
    (tmp_path / NEW.id / "release.json").write_bytes(content)
    assert release_store.description(tmp_path, NEW.id) is None


def test_what_a_rollback_brought_back_serves_since_that_rollback(tmp_path: Path) -> None:
    assert release_store.serving_since(tmp_path) is None
    for each in (OLD, NEW, THIRD):
        release_store.confirm(tmp_path, each)
        assert release_store.serving_since(tmp_path) == release_store.confirmations(tmp_path)[-1].since
    old, new, _ = release_store.confirmations(tmp_path)
    release_store.roll_back(tmp_path, new)
    first = release_store.serving_since(tmp_path)
    assert first == release_store.confirmations(tmp_path)[2].until
    release_store.roll_back(tmp_path, replace(old, until=release_store.confirmations(tmp_path)[0].until))
    again = release_store.serving_since(tmp_path)
    assert first and again and again == release_store.confirmations(tmp_path)[1].until
    assert again >= first

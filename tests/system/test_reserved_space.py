"""The disk blocks that are reserved for an undo, and which process may spend them."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path

import pytest

from swiftdeploy_tasks.system import files, reserved_space
from tests.disks import disk_of_its_own, fill


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "state"
    with disk_of_its_own(folder):
        yield folder
    reserved_space._OPEN.clear()


def test_the_reserve_is_really_allocated(state: Path) -> None:
    reserved_space.keep(state)
    found = (state / "reserve").stat()
    assert found.st_size == reserved_space.SIZE
    assert found.st_blocks * 512 >= reserved_space.SIZE


def test_without_room_there_is_no_reserve_and_nothing_of_it_stays(state: Path) -> None:
    ballast = fill(state)
    reserved_space.keep(state)
    assert not (state / "reserve").exists() or not (state / "reserve").stat().st_blocks
    ballast.unlink()
    reserved_space.keep(state)
    assert (state / "reserve").stat().st_size == reserved_space.SIZE


def test_on_a_full_disk_only_a_process_that_opened_the_reserve_can_write(state: Path) -> None:
    reserved_space.keep(state)
    fill(state)
    with pytest.raises(OSError, match="No space left"):
        files.replace(state / "target.json", "x" * 100_000)
    reserved_space.open_for_use(state)
    files.replace(state / "target.json", "x" * 100_000)
    assert (state / "target.json").stat().st_size == 100_000


def test_a_disk_that_is_filled_again_meanwhile_takes_one_part_at_a_time(state: Path) -> None:
    reserved_space.keep(state)
    reserved_space.open_for_use(state)
    parts = reserved_space.SIZE // reserved_space.PART
    for number in range(parts):
        fill(state)
        files.replace(state / f"{number}.json", "{}")
    fill(state)
    with pytest.raises(OSError) as caught:
        files.replace(state / "last.json", "{}")
    assert caught.value.errno == errno.ENOSPC


def test_with_room_nothing_is_spent(state: Path) -> None:
    reserved_space.keep(state)
    reserved_space.open_for_use(state)
    files.replace(state / "target.json", "{}")
    assert (state / "reserve").stat().st_size == reserved_space.SIZE
    assert {path.name for path in state.iterdir()} == {"reserve", "target.json"}


def test_what_was_spent_is_allocated_again_when_there_is_room(state: Path) -> None:
    reserved_space.keep(state)
    ballast = fill(state)
    reserved_space.open_for_use(state)
    assert (state / "reserve").stat().st_size == reserved_space.SIZE - reserved_space.PART
    ballast.unlink()
    reserved_space.keep(state)
    assert (state / "reserve").stat().st_size == reserved_space.SIZE
    assert not reserved_space.spend()


def test_a_reserve_that_is_a_link_is_left_alone(state: Path) -> None:
    theirs = state / "theirs"
    theirs.write_text("mine")
    (state / "reserve").symlink_to(theirs)
    reserved_space.keep(state)
    fill(state)
    reserved_space.open_for_use(state)
    assert theirs.read_text() == "mine"

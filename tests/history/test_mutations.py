"""Ten thousand random changes of histories: each is found on its line, and an unchanged history verifies."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path

import pytest

from swiftdeploy_tasks.history import chain, rotation
from swiftdeploy_tasks.history.chain import Head, Line
from swiftdeploy_tasks.history.store import History
from swiftdeploy_tasks.history.verification import Verification, verify
from tests.history.rotated import files_of, fill, small, unpacked

Content = list[bytes]
Parts = list[Content]


def flipped(whole: Content, other: Content, chance: random.Random) -> Content:
    text = b"".join(whole)
    at = chance.randrange(len(text))
    return [text[:at] + bytes([text[at] ^ (1 << chance.randrange(8))]) + text[at + 1 :]]


def cut(whole: Content, other: Content, chance: random.Random) -> Content:
    text = b"".join(whole)
    return [text[: chance.randrange(len(text))]]


def deleted(whole: Content, other: Content, chance: random.Random) -> Content:
    at = chance.randrange(len(whole))
    return [*whole[:at], *whole[at + chance.randint(1, 2) :]]


def inserted(whole: Content, other: Content, chance: random.Random) -> Content:
    at = chance.randint(0, len(whole))
    return [*whole[:at], chance.choice(other), *whole[at:]]


def duplicated(whole: Content, other: Content, chance: random.Random) -> Content:
    at = chance.randint(0, len(whole))
    return [*whole[:at], chance.choice(whole), *whole[at:]]


def swapped(whole: Content, other: Content, chance: random.Random) -> Content:
    one, two = chance.randrange(len(whole)), chance.randrange(len(whole))
    changed = list(whole)
    changed[one], changed[two] = changed[two], changed[one]
    return changed


def spliced(whole: Content, other: Content, chance: random.Random) -> Content:
    at = chance.randrange(len(whole))
    return [*whole[:at], *other[at:]]


WITHIN = (flipped, cut, deleted, inserted, duplicated, swapped, spliced)


def files_swapped(parts: Parts, chance: random.Random) -> Parts:
    one, two = chance.sample(range(len(parts)), 2)
    changed = list(parts)
    changed[one], changed[two] = changed[two], changed[one]
    return changed


def file_lost(parts: Parts, chance: random.Random) -> Parts:
    at = chance.randrange(len(parts))
    return [*parts[:at], *parts[at + 1 :]]


def line_moved(parts: Parts, chance: random.Random) -> Parts:
    """A line of one file goes to another one, to its front, its end or between."""
    one, two = chance.sample(range(len(parts)), 2)
    changed = [list(part) for part in parts]
    line = changed[one].pop(chance.randrange(len(changed[one])))
    changed[two].insert(chance.randint(0, len(changed[two])), line)
    return changed


ACROSS = (files_swapped, file_lost, line_moved)


def content_of(history: History) -> Parts:
    texts = [*(unpacked(path) for path in files_of(history)), history.path.read_bytes()]
    return [text.splitlines(True) for text in texts]


def judged(parts: Parts, head: Head | None) -> Verification:
    def lines() -> Iterator[Line]:
        for index, part in enumerate(parts):
            for number, raw in enumerate(b"".join(part).splitlines(True), 1):
                yield chain.parse(raw, number, Path(f"{index}"))

    return verify(lines(), head, current_file=Path(f"{len(parts) - 1}"))


def same(one: Parts, other: Parts) -> bool:
    return b"".join(map(b"".join, one)) == b"".join(map(b"".join, other))


def first_difference(changed: Content, whole: Content) -> int | None:
    """The 1-based line on which one file begins to differ from another, None where it does not."""
    lines = zip_longest(b"".join(changed).splitlines(True), whole)
    return next((number for number, (one, other) in enumerate(lines, 1) if one != other), None)


@pytest.fixture(scope="module")
def histories(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Parts, Head | None]]:
    """One in a file, one in several, and one whose first files were dropped, with their heads."""
    made = []
    for name, count, max_bytes, keep in (("one", 8, 10**6, 9), ("four", 12, 1100, 9), ("late", 16, 1100, 3)):
        history = small(tmp_path_factory.mktemp(name), max_bytes=max_bytes, keep=keep)
        fill(history, count, name)
        made.append((content_of(history), history.head()))
    return made


def test_ten_thousand_mutations_are_all_found(histories: list[tuple[Parts, Head | None]]) -> None:
    chance = random.Random(1)
    strangers = [[line for part in parts for line in part] for parts, _ in histories]
    found = 0
    while found < 10_500:
        index = chance.randrange(3)
        parts, head = histories[index]
        if len(parts) > 1 and chance.random() < 0.2:
            changed = chance.choice(ACROSS)(parts, chance)
        else:
            at = chance.randrange(len(parts))
            how = chance.choice(WITHIN)
            changed = [*parts[:at], how(parts[at], strangers[index - 1], chance), *parts[at + 1 :]]
        verification = judged(changed, head)
        assert verification.ok == same(changed, parts), (index, changed)
        if len(parts) == 1:
            assert verification.first_bad == first_difference(changed[0], parts[0]), changed
        found += not same(changed, parts)


def test_unchanged_histories_are_never_accused(histories: list[tuple[Parts, Head | None]]) -> None:
    assert all(judged(parts, head).ok for parts, head in histories)


def test_every_changed_byte_of_a_rotated_file_is_found(tmp_path: Path) -> None:
    history, chance = small(tmp_path, max_bytes=500), random.Random(1)
    fill(history, 3)
    path = files_of(history)[0]
    whole, wanted = path.read_bytes(), list(rotation.read(path))
    for at in range(len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ (1 << chance.randrange(8))]) + whole[at + 1 :])
        assert any(line.problem for line in rotation.read(path)), at
        path.write_bytes(whole[:at])
        assert any(line.problem for line in rotation.read(path)), at
    path.write_bytes(whole)
    assert list(rotation.read(path)) == wanted
    assert not any(line.problem for line in wanted)

"""Many processes write, rotate and drop at once and are killed: the chain does not fork."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from swiftdeploy_tasks.history.store import History
from tests.history.rotated import files_of, fill, records, small

WRITERS, EACH, KILLS = 8, 40, 200


@contextmanager
def writing(history: History, run: str, count: int) -> Iterator[tuple[int, int]]:
    """A child that appends; its pid, and a pipe that gives the seq of each record when it was returned."""
    out, into = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(out)
        try:
            for number in range(count):
                record = history.append("step", "deploy", run, "done", number=number)
                os.write(into, b"%d\n" % record["seq"])
        finally:
            os._exit(0)
    os.close(into)
    try:
        yield child, out
    finally:
        os.close(out)
        os.waitpid(child, 0)


def acknowledged(out: int) -> list[int]:
    """All that is in the pipe until its writer is gone."""
    said = b""
    while part := os.read(out, 1 << 16):
        said += part
    return [int(seq) for seq in said.splitlines()]


@pytest.mark.parametrize("keep", [1000, 2])
def test_eight_writers_neither_fork_nor_tear_the_chain_and_a_reader_sees_each_record_once(
    tmp_path: Path, keep: int
) -> None:
    history = small(tmp_path, max_bytes=4000, keep=keep)
    pipes, children = [], []
    for number in range(WRITERS):
        out, into = os.pipe()
        if (child := os.fork()) == 0:
            try:
                said = b"".join(b"%d\n" % r["seq"] for r in fill(history, EACH, f"run-{number}"))
                os.write(into, said)
            finally:
                os._exit(0)
        os.close(into)
        pipes.append(out)
        children.append(child)
    looks = 0
    while children:
        found = [line.record["seq"] for line in history.lines() if line.record]
        assert found == list(range(found[0], found[0] + len(found))) if found else True
        assert history.verify().ok
        looks += 1
        children = [child for child in children if os.waitpid(child, os.WNOHANG) == (0, 0)]
    assert looks > 1
    given = sorted(seq for out in pipes for seq in acknowledged(out))
    for out in pipes:
        os.close(out)
    assert len(given) == len(set(given)) == WRITERS * EACH
    kept = [record["seq"] for record in records(history) if record["event"] == "step"]
    assert kept == given[-len(kept) :]
    assert (len(kept) == len(given)) == (keep == 1000)
    assert len(files_of(history)) > (20 if keep == 1000 else 0)


def test_two_hundred_kills_during_appends_and_rotations_lose_nothing_acknowledged(tmp_path: Path) -> None:
    history, chance = small(tmp_path, max_bytes=1500, keep=1000), random.Random(1)
    given: list[int] = []
    for kill in range(KILLS):
        with writing(history, f"run-{kill}", 1000) as (child, out):
            for _ in range(chance.randrange(3)):
                given += [int(seq) for seq in os.read(out, 1 << 16).splitlines()]
            os.kill(child, signal.SIGKILL)
            given += acknowledged(out)
        if kill % 20 == 0:
            assert history.verify().ok, kill
    fill(history, 1)
    seqs = [line.record["seq"] for line in history.lines() if line.record]
    assert seqs == list(range(1, len(seqs) + 1))
    assert set(given) <= set(seqs)
    assert len(given) == len(set(given)) > KILLS / 2
    assert history.verify().ok

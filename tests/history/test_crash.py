"""The next append after a crash, a full disk or a lost file."""

from __future__ import annotations

import hashlib
import json
import math
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from swiftdeploy_tasks.history import chain
from swiftdeploy_tasks.history.chain import Head
from swiftdeploy_tasks.history.store import History
from tests.history.rotated import put_head

ROOT = Path(__file__).parents[2]
APPENDER = """
import sys
from collections.abc import Callable
from pathlib import Path
from swiftdeploy_tasks.history.store import History
history = History(Path(sys.argv[1]), Path(sys.argv[2]))
for number in range(int(sys.argv[3])):
    record = history.append("step", "deploy", sys.argv[4], number=number, filler="x" * 5000)
    print(record["seq"], flush=True)
"""


def appender(history: History, count: int, run: str, **kwargs: Any) -> subprocess.Popen[str]:
    words = [sys.executable, "-c", APPENDER, str(history.path), str(history.state), str(count), run]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(words, env=env, stdout=subprocess.PIPE, text=True, **kwargs)


def next_line(history: History, **fields: Any) -> bytes:
    """The line that the next append would write."""
    head = history.head() or chain.GENESIS
    content = {"event": "step", "task": "deploy", "run": "run-1", "outcome": None, **fields}
    return chain.line_of(chain.seal(content, head, "2030-01-01T00:00:00.000Z"))


def append_raw(history: History, raw: bytes) -> None:
    with history.path.open("ab") as file:
        file.write(raw)


def events(history: History) -> list[str]:
    return [line.record["event"] for line in chain_lines(history) if line.record]


def chain_lines(history: History) -> list[chain.Line]:
    return [chain.parse(raw, n) for n, raw in enumerate(history.path.read_bytes().splitlines(True), 1)]


def test_four_processes_appending_at_once_neither_fork_nor_tear_the_chain(history: History) -> None:
    rivals = [appender(history, 300, f"run-{n}") for n in range(4)]
    acknowledged = [int(seq) for rival in rivals for seq in rival.communicate(timeout=120)[0].split()]
    assert sorted(acknowledged) == list(range(1, 1201))
    assert (history.verify().ok, history.verify().records) == (True, 1200)


def test_a_process_killed_while_it_appends_loses_nothing_that_was_acknowledged(history: History) -> None:
    for attempt in range(8):
        victim = appender(history, 100_000, f"run-{attempt}")
        assert victim.stdout
        acknowledged = [int(victim.stdout.readline()) for _ in range(3 + 5 * attempt)]
        victim.send_signal(signal.SIGKILL)
        acknowledged += [
            int(seq) for seq in victim.communicate()[0].splitlines(keepends=True) if seq.endswith("\n")
        ]
        kept = {line.record["seq"] for line in chain_lines(history) if line.record}
        assert set(acknowledged) <= kept
        history.append("interrupted", "deploy", f"run-{attempt}")
        assert history.verify().ok


def test_a_history_that_grows_while_it_is_verified_is_never_accused(history: History) -> None:
    with appender(history, 400, "run-1") as rival:
        verdicts = [history.verify()]
        while rival.poll() is None:
            verdicts.append(history.verify())
    assert [found for found in verdicts if not found.ok] == []
    assert len({found.records for found in verdicts}) > 3


def nothing(history: History) -> None:
    """The first append of all."""


def ten_records(history: History) -> None:
    for _ in range(10):
        history.append("step", "deploy", "run-1")


def no_head_for_the_last(history: History) -> None:
    ten_records(history)
    append_raw(history, next_line(history))


def no_newline_for_the_last(history: History) -> None:
    ten_records(history)
    append_raw(history, next_line(history).rstrip(b"\n"))


def half_a_line(history: History) -> None:
    ten_records(history)
    append_raw(history, next_line(history)[:50])


def half_a_line_after_one_without_head(history: History) -> None:
    no_head_for_the_last(history)
    append_raw(history, b'{"half')


def no_head(history: History) -> None:
    half_a_line(history)
    (history.state / "head.json").unlink()


CRASHED = (
    nothing,
    ten_records,
    no_head_for_the_last,
    no_newline_for_the_last,
    half_a_line,
    half_a_line_after_one_without_head,
    no_head,
)


def dies_at(history: History, step: int, written: float) -> bool:
    """Append in a child that dies at its `step`th effect (a write: after this part of it); whether it did."""
    child = os.fork()
    if child == 0:
        die_at(step, written)
        history.append("started", "deploy", "run-2")
        os._exit(0)
    return os.waitpid(child, 0)[1] != 0


def die_at(step: int, written: float) -> None:
    effects: dict[str, Callable[..., Any]] = {"write": os.write, "fsync": os.fsync, "replace": os.replace}
    left = iter(range(step, -1, -1))

    def dying(name: str) -> Callable[..., Any]:
        def effect(*args: Any) -> Any:
            if next(left):
                return effects[name](*args)
            if name == "write":
                effects[name](args[0], args[1][: math.ceil(len(args[1]) * written)])
            os._exit(9)

        return effect

    for name in effects:
        setattr(os, name, dying(name))


@pytest.mark.parametrize("written", [0.0, 1e-9, 0.5], ids=["nothing", "a byte", "half"])
@pytest.mark.parametrize("found", CRASHED)
def test_a_crash_at_any_point_of_an_append_is_mended_by_the_next(
    tmp_path: Path, found: Callable[[History], None], written: float
) -> None:
    for step in range(40):
        history = History(tmp_path / f"{step}.jsonl", tmp_path / f"{step}")
        found(history)
        before = history.path.read_bytes() if history.path.exists() else b""
        died = dies_at(history, step, written)
        history.append("started", "deploy", "run-3")
        assert history.path.read_bytes().startswith(before)
        assert history.verify().ok == (found is not no_head), (step, history.verify())
        if not died:
            return
    pytest.fail("the append never came to its end")


def test_one_valid_line_past_the_head_is_adopted(ten: History) -> None:
    append_raw(ten, next_line(ten))
    assert ten.verify().ok
    assert ten.append("started", "deploy", "run-2")["seq"] == 12
    assert (ten.verify().ok, ten.verify().records) == (True, 12)


def test_a_line_written_by_another_json_writer_is_adopted_too(ten: History) -> None:
    append_raw(ten, json.dumps(json.loads(next_line(ten, note="é"))).encode() + b"\n")
    assert ten.append("started", "deploy", "run-2")["seq"] == 12
    assert ten.verify().ok


def test_a_valid_line_past_the_head_that_lacks_only_its_newline_is_adopted(ten: History) -> None:
    append_raw(ten, next_line(ten).rstrip(b"\n"))
    assert ten.verify().ok
    assert ten.append("started", "deploy", "run-2")["seq"] == 12
    assert (ten.verify().ok, events(ten).count("torn")) == (True, 0)


def test_the_very_first_line_is_adopted_when_its_head_was_not_written(history: History) -> None:
    history.append("started", "deploy", "run-1")
    put_head(history, chain.GENESIS)
    assert history.append("finished", "deploy", "run-1")["seq"] == 2
    assert history.verify().ok


def test_two_lines_past_the_head_are_not_adopted_and_stay_an_offence(ten: History) -> None:
    first = next_line(ten)
    second = chain.seal(json.loads(first), Head.of(json.loads(first)), "2030-01-01T00:00:00.000Z")
    append_raw(ten, first + chain.line_of(second))
    assert ten.verify().first_bad == 12
    assert ten.append("started", "deploy", "run-2")["seq"] == 11
    assert (ten.verify().ok, ten.verify().first_bad) == (False, 11)


def test_a_half_line_is_kept_aside_and_closed_off(ten: History) -> None:
    half = next_line(ten)[:70]
    append_raw(ten, half)
    assert ten.verify().ok
    assert ten.append("started", "deploy", "run-2")["seq"] == 12
    lines = ten.path.read_bytes().splitlines()
    digest = hashlib.sha256(half).hexdigest()
    assert lines[10] == half
    assert json.loads(lines[11])["torn"] == [{"bytes": 70, "sha256": digest}]
    assert (ten.state / "torn" / digest).read_bytes() == half
    assert (ten.verify().ok, ten.verify().records) == (True, 12)


@pytest.mark.parametrize(
    "half", [b"\x00" * 5000, b"\xff\xfe", b"{}", b"y" * 3_000_000], ids=["nul", "bytes", "json", "long"]
)
def test_a_half_line_may_hold_anything(ten: History, half: bytes) -> None:
    append_raw(ten, half)
    assert ten.append("started", "deploy", "run-2")["seq"] == 12
    assert ten.verify().ok
    assert (ten.state / "torn" / hashlib.sha256(half).hexdigest()).read_bytes() == half


def test_a_crash_while_a_half_line_is_closed_off_is_mended_as_well(ten: History) -> None:
    append_raw(ten, b'{"half')
    ten.append("started", "deploy", "run-2")
    whole = ten.path.read_bytes().splitlines(True)
    ten.path.write_bytes(b"".join(whole[:11]) + whole[11][:40])
    put_head(ten, Head.of(json.loads(whole[9])))
    ten.append("started", "deploy", "run-3")
    assert [torn["bytes"] for torn in json.loads(ten.path.read_bytes().splitlines()[12])["torn"]] == [6, 40]
    assert ten.verify().ok


def test_a_half_line_after_a_line_that_had_no_head_yet_costs_neither(ten: History) -> None:
    append_raw(ten, next_line(ten) + b'{"half')
    assert ten.append("started", "deploy", "run-2")["seq"] == 13
    assert (ten.verify().ok, events(ten)[-2:]) == (True, ["torn", "started"])


def test_a_closed_off_line_excuses_nothing_but_itself(ten: History) -> None:
    append_raw(ten, b'{"half')
    ten.append("started", "deploy", "run-2")
    lines = ten.path.read_bytes().splitlines(True)
    for changed, bad in (
        ([*lines[:10], b'{"hulf\n', *lines[11:]], 11),
        ([*lines[:10], *lines[11:]], 11),
        ([*lines[:10], lines[10], *lines[10:]], 11),
        ([*lines[:5], lines[10], *lines[5:]], 6),
    ):
        ten.path.write_bytes(b"".join(changed))
        assert ten.verify().first_bad == bad


def test_a_garbage_line_is_never_taken_for_a_half_line(ten: History) -> None:
    append_raw(ten, b"garbage\n")
    assert ten.verify().first_bad == 11
    append_raw(ten, b'{"half')
    ten.append("started", "deploy", "run-2")
    assert (ten.verify().ok, ten.verify().first_bad) == (False, 11)


def test_a_lost_tail_is_named_for_ever(ten: History) -> None:
    lines = ten.path.read_bytes().splitlines(True)
    ten.path.write_bytes(b"".join(lines[:7]))
    assert ten.verify().first_bad == 8
    assert ten.append("started", "deploy", "run-2")["seq"] == 11
    found = ten.verify()
    assert (found.ok, found.first_bad) == (False, 8)
    assert found.reason == "record 11 does not follow record 7"


def test_a_last_line_cut_in_half_is_a_loss_not_a_crash(ten: History) -> None:
    ten.path.write_bytes(ten.path.read_bytes()[:-20])
    assert ten.verify().first_bad == 10
    ten.append("started", "deploy", "run-2")
    assert (ten.verify().ok, ten.verify().first_bad) == (False, 10)


def test_a_last_line_that_lost_its_newline_is_named_for_ever(ten: History) -> None:
    ten.path.write_bytes(ten.path.read_bytes()[:-1])
    assert ten.verify().first_bad == 10
    ten.append("started", "deploy", "run-2")
    assert not ten.verify().ok


def test_a_lost_file_is_named_for_ever(ten: History) -> None:
    ten.path.unlink()
    assert (ten.verify().ok, ten.verify().first_bad) == (False, 1)
    assert ten.append("started", "deploy", "run-2")["seq"] == 11
    assert (ten.verify().ok, ten.verify().first_bad) == (False, 1)


@pytest.mark.parametrize("content", [None, b"", b"[]", b"{", b'{"seq": "1", "hash": 3}', b"\xff"])
def test_a_lost_head_is_named_for_ever(ten: History, content: bytes | None) -> None:
    head = ten.state / "head.json"
    head.unlink() if content is None else head.write_bytes(content)
    assert (ten.verify().ok, ten.verify().first_bad) == (False, 11)
    assert ten.append("started", "deploy", "run-2")["seq"] == 12
    assert events(ten)[10:] == ["head_lost", "started"]
    assert (ten.verify().ok, ten.verify().first_bad) == (False, 11)


def test_a_lost_head_continues_from_the_last_valid_line(ten: History) -> None:
    (ten.state / "head.json").unlink()
    append_raw(ten, b'garbage\n{"half')
    assert ten.append("started", "deploy", "run-2")["seq"] == 12
    assert ten.verify().first_bad == 11


def test_a_crash_before_the_head_of_a_head_lost_record_does_not_hide_the_loss(ten: History) -> None:
    (ten.state / "head.json").unlink()
    ten.append("started", "deploy", "run-2")
    ten.path.write_bytes(b"".join(ten.path.read_bytes().splitlines(True)[:11]))
    (ten.state / "head.json").unlink()
    ten.append("started", "deploy", "run-3")
    assert (ten.verify().ok, ten.verify().first_bad) == (False, 11)


def test_with_neither_file_nor_head_a_new_history_begins(ten: History) -> None:
    ten.path.unlink()
    (ten.state / "head.json").unlink()
    assert ten.append("started", "deploy", "run-2")["seq"] == 1
    assert ten.verify().ok


def test_a_disk_that_fills_up_is_an_error_and_leaves_no_half_line(ten: History) -> None:
    size = ten.path.stat().st_size
    script = (
        "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({size + 100}, {size + 100}))\n"
        "from swiftdeploy_tasks.errors import HistoryError\n"
        f"try:\n exec({APPENDER!r})\nexcept HistoryError as error:\n print(error.exit_code, error.next)"
    )
    words = [sys.executable, "-c", script, str(ten.path), str(ten.state), "1", "run-2"]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(words, env=env, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("7 df -h")
    assert ten.path.stat().st_size == size
    assert ten.append("started", "deploy", "run-3")["seq"] == 11
    assert ten.verify().ok

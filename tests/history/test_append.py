from __future__ import annotations

import hashlib
import json
import re
import stat
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from swiftdeploy_tasks.errors import HistoryError
from swiftdeploy_tasks.history import chain, file_lock
from swiftdeploy_tasks.history.store import History

SCHEMA = json.loads((Path(__file__).parents[2] / "schema" / "history.schema.json").read_text())


def records(history: History) -> list[dict[str, Any]]:
    return [json.loads(line) for line in history.path.read_bytes().splitlines()]


def test_a_record_in_the_file_equals_the_returned_one_and_fits_the_schema(history: History) -> None:
    returned = history.append(
        "finished", "deploy", "run-1", "refused", exit_code=3, duration_ms=12.5, who={"user": "é"}
    )
    assert records(history) == [returned]
    jsonschema.Draft202012Validator(SCHEMA).validate(returned)
    assert (returned["event"], returned["task"], returned["run"], returned["outcome"]) == (
        "finished",
        "deploy",
        "run-1",
        "refused",
    )
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", returned["time"])


def test_the_hash_is_the_sha256_of_the_sorted_compact_utf8_json_of_the_rest(history: History) -> None:
    history.append("started", "deploy", "run-1", note="größer 🚀 \u2028 \x00")
    history.append("step", "deploy", "run-1")
    first, second = records(history)
    for record in (first, second):
        rest = {key: value for key, value in record.items() if key != "hash"}
        text = json.dumps(rest, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        assert record["hash"] == hashlib.sha256(text.encode()).hexdigest()
    assert (first["seq"], first["prev"], second["seq"], second["prev"]) == (1, "0" * 64, 2, first["hash"])


def test_the_head_names_the_last_record(ten: History) -> None:
    last = records(ten)[-1]
    assert ten.head() == chain.Head(10, last["hash"])
    assert (
        json.loads((ten.state / "head.json").read_text()).items() >= {"seq": 10, "hash": last["hash"]}.items()
    )


def test_what_is_made_is_readable_by_its_owner_alone(ten: History) -> None:
    modes = {
        path.name: stat.S_IMODE(path.stat().st_mode) for path in (ten.path, *ten.state.iterdir(), ten.state)
    }
    assert modes == {"history.jsonl": 0o600, "head.json": 0o600, "history.lock": 0o600, ".swiftdeploy": 0o700}


def test_the_mode_of_a_history_that_is_there_already_is_left_alone(history: History) -> None:
    history.path.touch()
    history.path.chmod(0o644)
    history.append("started", "deploy", "run-1")
    assert stat.S_IMODE(history.path.stat().st_mode) == 0o644


def test_a_figure_that_is_not_finite_becomes_null(history: History) -> None:
    record = history.append("scrape", "status", "run-1", p99_ms=float("nan"), slots=[{"rate": float("-inf")}])
    assert (record["p99_ms"], record["slots"]) == (None, [{"rate": None}])
    assert history.verify().ok


def test_a_lone_surrogate_becomes_a_question_mark(history: History) -> None:
    fields: dict[str, Any] = {"note": "a\udcffb", "k\ud800": 1}
    record = history.append("started", "deploy", "run-1", **fields)
    assert (record["note"], record["k?"]) == ("a?b", 1)
    assert history.verify().ok


@pytest.mark.parametrize("value", [{1, 2}, b"bytes", 10**5000], ids=["set", "bytes", "number too long"])
def test_what_json_cannot_carry_is_an_error_and_leaves_no_line(history: History, value: object) -> None:
    history.append("started", "deploy", "run-1")
    with pytest.raises(HistoryError, match="as JSON"):
        history.append("step", "deploy", "run-1", value=value)
    assert len(records(history)) == 1


def test_a_record_over_the_limit_is_an_error_that_gives_the_bound(history: History) -> None:
    with pytest.raises(HistoryError, match=str(chain.MAX_LINE)):
        history.append("step", "deploy", "run-1", log="x" * chain.MAX_LINE)
    assert history.append("step", "deploy", "run-1", log="x" * (chain.MAX_LINE - 1000))["seq"] == 1
    assert history.verify().ok


@pytest.mark.parametrize("field", ["seq", "hash", "prev", "time", "v"])
def test_a_caller_cannot_set_what_chains_a_record(history: History, field: str) -> None:
    fields: dict[str, Any] = {field: 1}
    with pytest.raises(ValueError, match=field):
        history.append("started", "deploy", "run-1", **fields)


def test_a_caller_cannot_claim_that_something_was_torn(history: History) -> None:
    with pytest.raises(ValueError, match="torn"):
        history.append("torn", "deploy", "run-1", torn=[])


def test_the_cost_of_an_append_does_not_grow_with_the_file(history: History) -> None:
    history.append("started", "deploy", "run-1")
    before = _bytes_read()
    history.append("step", "deploy", "run-1")
    small = _bytes_read() - before
    for _ in range(10):
        history.append("step", "deploy", "run-1", log="x" * 900_000)
    history.append("step", "deploy", "run-1")
    before = _bytes_read()
    history.append("step", "deploy", "run-1")
    assert history.path.stat().st_size > 9_000_000
    assert _bytes_read() - before < small + (1 << 17)


def _bytes_read() -> int:
    return int(Path("/proc/self/io").read_text(encoding="utf-8").split("rchar: ")[1].split()[0])


def test_a_folder_in_place_of_the_history_is_an_error_with_the_next_command(history: History) -> None:
    history.path.mkdir()
    with pytest.raises(HistoryError, match=re.escape(str(history.path))) as caught:
        history.append("started", "deploy", "run-1")
    assert (caught.value.exit_code, caught.value.next) == (7, f"ls -ld {history.path.parent} {history.path}")


def test_a_file_in_place_of_the_state_folder_is_an_error(history: History) -> None:
    history.state.touch()
    with pytest.raises(HistoryError):
        history.append("started", "deploy", "run-1")
    assert not history.path.exists()


def test_a_history_that_another_process_keeps_locked_is_an_error_in_bounded_time(
    ten: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_lock, "LOCK_SECONDS", 0.05)
    with (
        file_lock.hold(ten.state / "history.lock", to_write=True),
        pytest.raises(HistoryError, match="busy"),
    ):
        ten.append("started", "deploy", "run-1")
    assert ten.append("started", "deploy", "run-1")["seq"] == 11

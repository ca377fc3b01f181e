"""Somebody else knows the head: a history that was rewritten whole is caught, and a witness stops nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from swiftdeploy_tasks import chain, settings, witness
from swiftdeploy_tasks import history as room
from swiftdeploy_tasks.chain import GENESIS, Head
from swiftdeploy_tasks.history import History
from swiftdeploy_tasks.manifest import HistoryLimits
from tests.history.rotated import files_of, fill, records, small


@pytest.fixture
def share(tmp_path: Path) -> Path:
    folder = tmp_path / "share"
    folder.mkdir()
    return folder / "heads"


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def history(tmp_path: Path, share: Path, said: list[str]) -> History:
    return History(
        tmp_path / "history.jsonl", tmp_path / "state", HistoryLimits(witness=str(share)), said.append
    )


def told(share: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in share.read_text().splitlines()]


def rewrite(history: History, *, changed: int, count: int) -> None:
    """Write the whole history anew with another record `changed`, and its head with it."""
    head, lines = GENESIS, []
    for record in records(history)[:count]:
        fields = {key: value for key, value in record.items() if key not in chain.CHAINED}
        if record["seq"] == changed:
            fields["number"] = 99
        lines.append(chain.line_of(sealed := chain.seal(fields, head, record["time"])))
        head = Head.of(sealed)
    history.path.write_bytes(b"".join(lines))
    history._save(head)


def test_each_new_head_is_told_on_a_line_of_its_own(history: History, share: Path) -> None:
    written = fill(history, 3)
    assert told(share) == [{key: record[key] for key in ("hash", "seq", "time")} for record in written]
    found = history.verify().witness
    assert found is not None
    assert (found.path, found.last) == (share, Head.of(written[-1]))
    assert (found.contradicts, found.problem) == ("", "")


def test_a_history_without_a_witness_says_nothing_of_one(tmp_path: Path) -> None:
    history = small(tmp_path)
    fill(history, 1)
    assert history.verify().witness is None


def test_a_history_that_was_rewritten_head_and_all_is_caught(history: History) -> None:
    fill(history, 6)
    rewrite(history, changed=3, count=6)
    assert History(history.path, history.state).verify().ok
    found = history.verify()
    assert (found.ok, found.first_bad, found.first_bad_file) == (False, 3, history.path)
    assert (found.follows_until, found.reason) == (2, "was edited: the witness has another hash for record 3")
    assert found.witness is not None
    assert found.witness.contradicts == found.reason


def test_a_tail_that_was_cut_off_with_its_head_is_caught(history: History) -> None:
    fill(history, 6)
    rewrite(history, changed=0, count=4)
    assert History(history.path, history.state).verify().ok
    found = history.verify()
    assert (found.ok, found.first_bad, found.follows_until) == (False, 5, 4)
    assert found.reason == "truncated: the witness knows record 6, and the last one here is 4"
    fill(history, 3)
    assert history.verify().first_bad == 5


def test_a_history_that_was_begun_anew_is_caught(history: History) -> None:
    fill(history, 3)
    history.path.unlink()
    (history.state / "head.json").unlink()
    fill(history, 5, "run-2")
    assert (history.verify().ok, history.verify().first_bad) == (False, 1)


def test_a_rewritten_record_in_a_rotated_file_is_named_with_that_file(tmp_path: Path, share: Path) -> None:
    history = small(tmp_path, witness=str(share))
    fill(history, 14)
    heads = told(share)
    changed = [{**head, "hash": "0" * 64} if head["seq"] == 8 else head for head in heads]
    share.write_text("".join(json.dumps(head, separators=(",", ":")) + "\n" for head in changed))
    found = history.verify()
    assert (found.ok, found.first_bad_file, found.follows_until) == (False, files_of(history)[1], 7)


def test_a_witness_that_fails_is_said_and_recorded_once_and_stops_nothing(
    history: History, share: Path, said: list[str]
) -> None:
    share.parent.rmdir()
    fill(history, 3)
    events = [record["event"] for record in records(history)]
    assert events == ["step", "witness", "step", "step"]
    failed = records(history)[1]
    assert (failed["outcome"], failed["file"]) == ("failed", str(share))
    assert "No such file" in failed["error"]
    assert str(share) in said[0]
    found = history.verify()
    assert found.ok
    assert found.witness is not None
    assert "cannot be read" in found.witness.problem


def test_a_witness_that_is_back_is_recorded_and_what_it_missed_is_no_fault(
    history: History, share: Path
) -> None:
    fill(history, 1)
    share.rename(share.with_name("kept"))
    share.mkdir()
    fill(history, 2)
    share.rmdir()
    share.with_name("kept").rename(share)
    fill(history, 2)
    outcomes = [(r["event"], r["outcome"]) for r in records(history) if r["event"] == "witness"]
    assert outcomes == [("witness", "failed"), ("witness", "restored")]
    assert [head["seq"] for head in told(share)] == [1, 5, 7]
    assert history.verify().ok


def test_a_witness_that_was_not_told_of_late_is_said(history: History) -> None:
    fill(history, 2)
    fill(History(history.path, history.state), 3)
    found = history.verify()
    assert found.ok
    assert found.witness is not None
    assert found.witness.problem == "it was not told the last 3 heads"


@pytest.mark.parametrize("name", ["history.jsonl", "manifest.yaml"])
def test_a_file_that_holds_no_heads_is_left_alone(tmp_path: Path, said: list[str], name: str) -> None:
    (tmp_path / "manifest.yaml").write_text("name: shop\n")
    limits = HistoryLimits(witness=str(tmp_path / name))
    history = History(tmp_path / "history.jsonl", tmp_path / "state", limits, said.append)
    fill(history, 2)
    assert (tmp_path / "manifest.yaml").read_text() == "name: shop\n"
    assert "something else than heads" in said[0]
    assert history.verify().ok


def test_a_half_written_head_costs_only_itself(history: History, share: Path) -> None:
    fill(history, 2)
    with share.open("ab") as file:
        file.write(b'{"hash":"12')
    fill(history, 1)
    found = history.verify()
    assert found.ok
    assert found.witness is not None
    assert (found.witness.last, found.witness.problem) == (history.head(), "1 of its lines are no heads")


def test_a_witness_with_two_hashes_for_one_record_is_told(history: History, share: Path) -> None:
    fill(history, 2)
    first = told(share)[0]
    with share.open("a") as file:
        file.write(json.dumps({**first, "hash": "1" * 64}) + "\n")
    found = history.verify()
    assert found.witness is not None
    assert (found.ok, found.witness.contradicts) == (False, "it has two hashes for record 1")


def test_a_witness_is_bounded_and_its_older_half_still_counts(
    history: History, share: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(witness, "MAX_BYTES", 350)
    fill(history, 4)
    assert (len(told(share)), len(told(share.with_name("heads.old")))) == (1, 3)
    rewrite(history, changed=1, count=3)
    assert history.verify().first_bad == 1


def test_the_witness_that_the_manifest_names_lies_relative_to_the_project(tmp_path: Path) -> None:
    section = "history: {witness: heads, keep: 7, max_bytes: 20000}"
    (tmp_path / "manifest.yaml").write_text(f"{section}\nbroken: [\n")
    assert room.of(settings.find(tmp_path), print).limits == HistoryLimits()
    (tmp_path / "manifest.yaml").write_text(f"{section}\nnginx: 3\n")
    fill(room.of(settings.find(tmp_path), print), 2)
    assert len(told(tmp_path / "heads")) == 2
    assert room.of(settings.find(tmp_path), print).limits.keep == 7

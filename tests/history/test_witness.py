"""The witness: it shows that a history was rewritten with its head, and its failure stops no record."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from swiftdeploy_tasks import settings
from swiftdeploy_tasks.history import chain, witness
from swiftdeploy_tasks.history import store as room
from swiftdeploy_tasks.history.chain import GENESIS, Head
from swiftdeploy_tasks.history.links import Proven
from swiftdeploy_tasks.history.store import History
from swiftdeploy_tasks.manifest.model import HistoryLimits
from swiftdeploy_tasks.report.integrity import Integrity
from tests.history.rotated import files_of, fill, put_head, records, small


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
    return [json.loads(line) for line in share.read_text(encoding="utf-8").splitlines()]


def rewrite(history: History, *, changed: int, count: int) -> None:
    """Write the whole history again with the record `changed` altered, and its head with it."""
    head, lines = GENESIS, []
    for record in records(history)[:count]:
        fields = {key: value for key, value in record.items() if key not in chain.CHAINED}
        if record["seq"] == changed:
            fields["number"] = 99
        lines.append(chain.line_of(sealed := chain.seal(fields, head, record["time"])))
        head = Head.of(sealed)
    history.path.write_bytes(b"".join(lines))
    put_head(history, head)


def test_the_witness_gets_each_new_head_on_its_own_line(history: History, share: Path) -> None:
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
    assert found.reason == "the witness has another hash for record 3"
    assert found.witness is not None
    assert found.witness.contradicts == "it has another hash for record 3"


def test_a_tail_that_was_cut_off_with_its_head_is_caught(history: History) -> None:
    fill(history, 6)
    rewrite(history, changed=0, count=4)
    assert History(history.path, history.state).verify().ok
    found = history.verify()
    assert (found.ok, found.first_bad) == (False, 5)
    assert found.reason == "the witness has record 6, and the history ends at record 4"
    fill(history, 3)
    assert history.verify().first_bad == 5


def test_a_history_that_was_replaced_by_a_new_one_is_caught(history: History) -> None:
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
    share.write_text(
        "".join(json.dumps(head, separators=(",", ":")) + "\n" for head in changed), encoding="utf-8"
    )
    found = history.verify()
    assert (found.ok, found.first_bad_file) == (False, files_of(history)[1])


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


def test_a_witness_that_lacks_the_newest_heads_is_reported(history: History) -> None:
    fill(history, 2)
    fill(History(history.path, history.state), 3)
    found = history.verify()
    assert found.ok
    assert found.witness is not None
    assert found.witness.problem == "it lacks the last 3 heads"


def test_a_file_that_holds_no_heads_is_left_alone(tmp_path: Path, said: list[str]) -> None:
    (tmp_path / "manifest.yaml").write_text("name: shop\n")
    limits = HistoryLimits(witness=str(tmp_path / "manifest.yaml"))
    history = History(tmp_path / "history.jsonl", tmp_path / "state", limits, said.append)
    fill(history, 2)
    assert (tmp_path / "manifest.yaml").read_text() == "name: shop\n"
    assert "not a list of heads" in said[0]
    assert history.verify().ok


def test_a_half_written_head_costs_only_itself(history: History, share: Path) -> None:
    fill(history, 2)
    with share.open("ab") as file:
        file.write(b'{"hash":"12')
    fill(history, 1)
    found = history.verify()
    assert found.ok
    assert found.witness is not None
    assert (found.witness.last, found.witness.problem) == (history.head(), "1 of its lines are not heads")


def test_a_witness_with_two_hashes_for_one_record_is_reported(history: History, share: Path) -> None:
    fill(history, 2)
    first = told(share)[0]
    with share.open("a", encoding="utf-8") as file:
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


@pytest.mark.parametrize("name", ["heads", "heads.old"])
def test_a_large_file_of_a_person_is_neither_renamed_nor_replaced(
    history: History, share: Path, said: list[str], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    fill(history, 3)
    own = share.with_name(name)
    own.write_text("mine\n" * 200)
    monkeypatch.setattr(witness, "MAX_BYTES", 100)
    fill(history, 1)
    assert own.read_text() == "mine\n" * 200
    assert any("its content is not a list of heads" in sentence for sentence in said)


def test_the_witness_that_the_manifest_names_lies_relative_to_the_project(tmp_path: Path) -> None:
    section = "history: {witness: heads, keep: 7, max_bytes: 20000}"
    (tmp_path / "manifest.yaml").write_text(f"{section}\nbroken: [\n")
    assert room.of(settings.find(tmp_path), print).limits == HistoryLimits()
    (tmp_path / "manifest.yaml").write_text(f"{section}\nnginx: 3\n")
    fill(room.of(settings.find(tmp_path), print), 2)
    assert len(told(tmp_path / "heads")) == 2
    assert room.of(settings.find(tmp_path), print).limits.keep == 7


def junk(history: History) -> None:
    history.path.write_bytes(b"junk\n" + history.path.read_bytes())


def lose_head(history: History) -> None:
    (history.state / "head.json").unlink()


def nothing(_: History) -> None:
    """No second flaw."""


@pytest.mark.parametrize("flaw", [nothing, junk, lose_head])
@pytest.mark.parametrize(("changed", "proven"), [(1, None), (3, Proven(1, 2))])
def test_what_the_witness_contradicts_is_never_called_proven_whatever_else_is_wrong(
    history: History, flaw: Callable[[History], None], changed: int, proven: Proven | None
) -> None:
    fill(history, 6)
    rewrite(history, changed=changed, count=6)
    flaw(history)
    found = history.verify()
    assert (found.ok, found.proven, found.by_witness) == (False, proven, proven is not None)
    said = Integrity(found)
    assert f"contradicts the history: it has another hash for record {changed}." in said.witness
    by = f"Verified by the witness: {proven}. " if proven else "Nothing is verified: "
    assert by in said.verdict


def test_a_history_that_was_replaced_under_its_head_is_contradicted(history: History) -> None:
    fill(history, 6)
    head = history.head()
    rewrite(history, changed=1, count=6)
    assert head
    put_head(history, head)
    found = history.verify()
    assert (found.proven, found.denied) == (None, "it has another hash for record 1")


def test_a_lost_tail_is_compared_as_far_as_it_goes(history: History) -> None:
    fill(history, 6)
    history.path.write_bytes(b"".join(history.path.read_bytes().splitlines(True)[:2]))
    said = Integrity(history.verify())
    assert "Verified by the witness: records 1 to 2." in said.verdict
    assert said.witness.endswith(
        "agrees with the records that are here up to record 2; its heads up to record 6"
        " have no record to be compared with."
    )


def test_a_tail_that_was_cut_off_with_its_head_is_caught_beside_another_flaw(history: History) -> None:
    fill(history, 6)
    rewrite(history, changed=0, count=4)
    junk(history)
    said = Integrity(history.verify())
    assert said.witness.endswith(
        "contradicts the history: it has record 6, and the history ends at record 4."
    )


def test_a_record_that_was_put_in_takes_no_proof_from_those_that_the_head_and_the_witness_have(
    history: History,
) -> None:
    lines = [chain.line_of(record) for record in fill(history, 6)]
    stranger = chain.seal({**json.loads(lines[2]), "number": 99}, GENESIS, "2030-01-01T00:00:00.000Z")
    history.path.write_bytes(b"".join([*lines[:3], chain.line_of(stranger), *lines[3:]]))
    found = history.verify()
    assert (found.ok, found.proven, found.by_witness) == (False, Proven(4, 6, before=4), False)


@pytest.mark.parametrize(
    "name", ["history.jsonl", "link", "state/head.json", "state/history.lock", "state/w"]
)
def test_what_is_the_history_or_lies_with_its_head_is_no_witness(
    tmp_path: Path, said: list[str], name: str
) -> None:
    (tmp_path / "link").symlink_to("history.jsonl")
    limits = HistoryLimits(witness=str(tmp_path / name))
    history = History(tmp_path / "history.jsonl", tmp_path / "state", limits, said.append)
    fill(history, 3)
    failed = [record for record in records(history) if record["event"] == "witness"]
    assert [record["outcome"] for record in failed] == ["failed"]
    assert str(failed[0]["error"]) in said[0]
    found = history.verify()
    assert found.ok
    assert "it cannot be the witness: it " in Integrity(found).witness
    assert "same" not in Integrity(found).witness


def test_what_was_dropped_is_compared_by_the_hash_that_the_first_record_follows(
    tmp_path: Path, share: Path
) -> None:
    history = small(tmp_path, keep=2, witness=str(share))
    fill(history, 30)
    before = records(history)[0]["seq"] - 1
    share.write_text(json.dumps({"hash": "1" * 64, "seq": before}) + "\n", encoding="utf-8")
    found = history.verify()
    assert (found.ok, found.denied) == (False, f"it has another hash for record {before}")

"""Only records linked to the head are proven; a rewritten beginning is not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swiftdeploy_tasks.history import chain, verification
from swiftdeploy_tasks.history.chain import GENESIS, Head, Record
from swiftdeploy_tasks.history.links import Proven
from swiftdeploy_tasks.history.store import History
from swiftdeploy_tasks.history.verification import Verification
from swiftdeploy_tasks.report.builder import build_report
from swiftdeploy_tasks.report.integrity import Integrity
from tests.history.rotated import files_of, fill, repack, small, unpacked

COUNT = 12


def written(count: int = COUNT) -> list[Record]:
    records: list[Record] = []
    for number in range(count):
        head = Head.of(records[-1]) if records else GENESIS
        content = {"event": "step", "task": "deploy", "run": "r", "outcome": None, "number": number}
        records.append(chain.seal(content, head, "2026-11-24T15:00:00.000Z"))
    return records


def rechained(records: list[Record], first: int, last: int) -> list[Record]:
    """The records with `first` changed, and hashed and chained again from there to `last`."""
    forged = list(records)
    for seq in range(first, last + 1):
        head = Head.of(forged[seq - 2]) if seq > 1 else GENESIS
        content = forged[seq - 1] | ({"number": 99} if seq == first else {})
        forged[seq - 1] = chain.seal(content, head, content["time"])
    return forged


def judged(records: list[Record], head: Head) -> Verification:
    lines = [chain.parse(chain.line_of(record), number) for number, record in enumerate(records, 1)]
    return verification.verify(lines, head)


def proven_of(records: list[Record], found: Verification) -> list[Record]:
    if not found.proven:
        return []
    believed = [record for record in records if chain.parse(chain.line_of(record)).record]
    held = [one for nth, one in enumerate(believed, 1) if found.proven.holds(nth, one["seq"])]
    assert [one["seq"] for one in held] == list(range(found.proven.first, found.proven.last + 1))
    return held


REAL = written()
HEAD = Head.of(REAL[-1])
PLAIN = [*REAL[:4], REAL[4] | {"number": 99}, *REAL[5:]]
FORGED: dict[str, tuple[list[Record], Proven | None]] = {
    "the first, and all hashes recomputed": (rechained(REAL, 1, 12), None),
    "the second, hashes recomputed, without the last": (rechained(REAL, 2, 11)[:-1], None),
    "the second, hashes recomputed up to one that is gone": (
        [record for record in rechained(REAL, 2, 4) if record["seq"] != 5],
        Proven(6, 12, before=4),
    ),
    "one within, as it is": (PLAIN, Proven(6, 12, before=4)),
}


@pytest.mark.parametrize(("records", "proven"), FORGED.values(), ids=FORGED)
def test_what_was_forged_is_not_proven_and_what_leads_up_to_the_head_is(
    records: list[Record], proven: Proven | None
) -> None:
    found = judged(records, HEAD)
    assert (found.ok, found.proven) == (False, proven)
    assert all(record in REAL for record in proven_of(records, found))
    assert ("Nothing is verified" in Integrity(found).verdict) == (proven is None)


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_no_forgery_with_recomputed_hashes_is_ever_verified(data: st.DataObject) -> None:
    seqs = st.integers(1, COUNT)
    records = REAL
    for first, last in data.draw(st.lists(st.tuples(seqs, seqs), max_size=3)):
        records = rechained(records, first, last)
    for at, kind in data.draw(st.lists(st.tuples(seqs, st.sampled_from("drop copy move add")), max_size=3)):
        one = records[(at - 1) % len(records)]
        rest = [record for record in records if record is not one or kind in "copy add"]
        where = data.draw(st.integers(0, len(rest)))
        extra = {"d": [], "a": [one | {"number": 77}]}.get(kind[0], [one])
        records = [*rest[:where], *extra, *rest[where:]] or REAL[:1]
    found = judged(records, HEAD)
    assert all(record in REAL for record in proven_of(records, found))
    assert found.ok <= (records == REAL)


def test_a_whole_history_is_proven_from_its_first_to_its_last_record() -> None:
    assert judged(REAL, HEAD).proven == Proven(1, 12)
    assert judged(REAL, HEAD).past_head is None
    assert verification.verify([], None).proven is None


def test_without_a_head_nothing_is_proven(ten: History) -> None:
    (ten.state / "head.json").unlink()
    found = ten.verify()
    assert (found.ok, found.proven) == (False, None)
    assert "Nothing is verified: there is no head." in Integrity(found).verdict


def test_what_a_lost_head_took_up_is_not_proven_by_the_next_one(ten: History) -> None:
    (ten.state / "head.json").unlink()
    fill(ten, 3)
    assert ten.verify().proven == Proven(11, 14, before=10)


def test_what_is_no_record_takes_no_proof_from_the_others(ten: History) -> None:
    lines = ten.path.read_bytes().splitlines(True)
    ten.path.write_bytes(b"".join([*lines[:4], b"hello\n", *lines[4:]]))
    found = ten.verify()
    assert (found.ok, found.proven) == (False, Proven(1, 10))
    assert Integrity(found).verdict.endswith("Verified by the head: records 1 to 10.")


def test_what_is_proven_reaches_back_into_the_rotated_files(tmp_path: Path) -> None:
    history = small(tmp_path)
    fill(history, 24)
    path = files_of(history)[1]
    lines = unpacked(path).splitlines(True)
    gone = json.loads(lines[2])["seq"]
    repack(path, b"".join([*lines[:2], *lines[3:]]))
    last = history.head()
    assert last
    assert history.verify().proven == Proven(gone + 1, last.seq, before=gone - 1)


def test_the_rows_of_a_report_are_marked_by_what_is_proven() -> None:
    forged = rechained(REAL, 2, 4)
    del forged[4]
    rows = [record | {"event": "cut_off"} for record in forged]
    events = build_report(rows, Integrity(judged(forged, HEAD))).events
    assert [(event.seq, event.proven) for event in events] == [
        (record["seq"], record["seq"] > 5) for record in forged
    ]


def test_where_the_witness_contradicts_the_head_what_it_has_itself_is_proven() -> None:
    lines = [chain.parse(chain.line_of(record), number) for number, record in enumerate(REAL, 1)]
    claims = {seq: REAL[seq - 1]["hash"] for seq in (2, 5)} | {8: "0" * 64, 9: REAL[8]["hash"]}
    found = verification.verify(lines, HEAD, claims=claims)
    assert (found.ok, found.proven) == (False, Proven(1, 5))


def test_a_history_of_which_some_were_dropped_by_age_is_said_to_begin_where_it_does(tmp_path: Path) -> None:
    history = small(tmp_path, keep=2)
    fill(history, 40)
    found, kept = history.verify(), [line.record for line in history.lines() if line.record]
    first = kept[0]["seq"]
    assert found.ok and first > 1
    assert found.proven == Proven(first, kept[-1]["seq"])
    says = next(one["seq"] for one in kept if one["event"] == "dropped" and one["last"] == first - 1)
    verdict = Integrity(found).verdict
    assert f"Records 1 to {first - 1} were dropped by age, as record {says} says." in verdict
    assert f"The {len(kept)} records from record {first} on" in verdict

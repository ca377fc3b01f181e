"""What a look recalls of the history: only what is new, and nothing of what has another form."""

from __future__ import annotations

from collections.abc import Generator
from types import SimpleNamespace
from typing import Any, cast

import pytest

from swiftdeploy_tasks.history.chain import Record
from swiftdeploy_tasks.session.run import Run
from swiftdeploy_tasks.status.recent import Recent, outcomes
from tests.report.evidence import judged, rules
from tests.status.values import check, verdict


def recent(records: list[Record]) -> Recent:
    """One that reads these records, oldest first, as its history has them at each time."""

    def proven() -> Generator[Record, None, None]:
        yield from reversed(records)

    return Recent(cast(Run, SimpleNamespace(history=SimpleNamespace(proven=proven))))


def record(seq: int, event: str = "scrape", **more: Any) -> Record:
    time = f"2026-03-01T12:00:{seq % 60:02}.000Z"
    usual = {"task": "status", "run": "1", "outcome": "done"}
    return {"seq": seq, "hash": f"{seq:064x}", "time": time, "event": event, **usual, **more}


def test_the_last_word_on_rules_and_drift_is_recalled() -> None:
    passed, failed = (verdict(check(passed=is_well)).document() for is_well in (True, False))
    records = [record(1, verdicts=[passed], drift=[{"target": "nginx"}]), record(2)]
    found = recent(records)
    found.catch_up()
    assert found.told == {"canary": outcomes(passed), "drift": [{"target": "nginx"}]}
    records.append(record(3, verdicts=[failed], drift=[]))
    found.catch_up()
    assert found.told == {"canary": outcomes(failed), "drift": []}


def test_corrected_drift_is_no_longer_reported() -> None:
    first, second = {"target": "nginx.conf"}, {"target": "nginx"}
    records = [record(1, drift=[first, second]), record(2, "drift", outcome="mended", target="nginx.conf")]
    found = recent(records)
    found.catch_up()
    assert found.told["drift"] == [second]
    records.append(record(3, "drift", outcome="mended", targets=["nginx"]))
    found.catch_up()
    assert found.told["drift"] == []


def test_an_event_is_reported_once_over_several_looks() -> None:
    records = [record(1, "chaos", outcome="seen", kind="slow", slot="blue", release="1")]
    found = recent(records)
    assert [len(found.events()) for _ in range(3)] == [1, 1, 1]


@pytest.mark.parametrize("verdicts", ["none", [7], [{"domain": 7}], [{"domain": "canary", "checks": [None]}]])
def test_a_record_in_another_form_stops_no_look(verdicts: object) -> None:
    assert isinstance(recent([record(1, verdicts=verdicts)]).events(), tuple)


def test_a_line_whose_number_is_far_ahead_hides_nothing_that_follows() -> None:
    records = [record(10**9)]
    found = recent(records)
    found.catch_up()
    records.append(record(2, "chaos", outcome="seen", kind="slow", slot="blue", release="1"))
    assert len(found.events()) == 1


def watched(seq: int, evidence: object) -> Record:
    return record(seq, task="deploy", **(judged(0, evidence) | {"outcome": "allowed"}))


def test_the_latest_evidence_is_that_of_the_last_verdict_until_its_verb_ends() -> None:
    records = [record(1, "started", task="deploy"), watched(2, rules(7)), record(3, "started")]
    found = recent(records)
    found.catch_up()
    assert found.evidence and found.evidence.rules["max_error_rate"].e == 7
    records += [watched(4, rules(9)), watched(5, "damaged"), watched(6, {"max_error_rate": {"e": -1}})]
    found.catch_up()
    assert found.evidence.rules["max_error_rate"].e == 9
    records.append(record(7, "finished", task="deploy"))
    found.catch_up()
    assert found.evidence is None

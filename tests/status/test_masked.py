"""What an app prints into its metrics page is shown, asked about and recorded without its secrets."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace
from typing import Any

import pytest

from swiftdeploy_tasks.model.state import Placement
from swiftdeploy_tasks.rollout import questions, scrape_records
from swiftdeploy_tasks.rollout.canary import Figures
from swiftdeploy_tasks.status import overview
from swiftdeploy_tasks.system.redaction import masked
from tests.status.values import RELEASE, SAMPLE

PROBLEM = 'http_requests_total has status="hunter2hunter2", which is no HTTP status'


@pytest.fixture
def run() -> Any:
    """A run that knows the secret, and keeps what it is given to record."""
    notes: list[dict[str, Any]] = []
    return SimpleNamespace(
        masked=lambda text: masked(text, ["hunter2hunter2"]),
        notes=notes,
        emit=lambda event: notes.append(event.record()),
    )


def test_status_shows_no_secret_that_the_slot_was_started_with() -> None:
    release = dataclasses.replace(RELEASE, secrets=(("TOKEN", "SHOP_TOKEN"),))
    sample = dataclasses.replace(SAMPLE, release=release, problem=PROBLEM)
    there = Placement(release, "", environment={"TOKEN": "hunter2hunter2", "PLAIN": "status"})
    shown = overview._masked(there, sample)
    assert shown is not None
    assert shown.problem == 'http_requests_total has status="[secret]", which is no HTTP status'


def test_status_masks_nothing_where_nothing_is_wrong() -> None:
    there = Placement(RELEASE, "")
    assert overview._masked(there, SAMPLE) is SAMPLE
    assert overview._masked(there, None) is None


def test_a_scrape_is_recorded_and_a_question_put_without_a_secret(run: Any) -> None:
    scrape_records.record_samples(run, {"blue": dataclasses.replace(SAMPLE, problem=PROBLEM), "green": None})
    assert "[secret]" in str(run.notes) and "hunter2" not in str(run.notes)
    assert "hunter2" not in questions._masked(run, Figures(None, PROBLEM, 1)).problem

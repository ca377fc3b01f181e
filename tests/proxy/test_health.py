"""What an answer on the health path says, and the words for one that is not well."""

from __future__ import annotations

import dataclasses
import json

import pytest

from swiftdeploy_tasks.manifest.model import Health
from swiftdeploy_tasks.model.release import from_label
from swiftdeploy_tasks.proxy import health
from swiftdeploy_tasks.proxy.probe import Reply
from tests.rollout.plan_states import release

RELEASE = release("1.0.0")


def said(**values: str) -> Reply:
    return Reply(200, body=json.dumps(values).encode())


@pytest.mark.parametrize(
    "reply",
    [
        said(status="ok", version="10.4.2"),
        said(status="ok", version="10.4.2", mode="production"),
        said(status="ok", mode="standalone"),
        said(status="ok", mode=RELEASE.mode, version=RELEASE.version),
        said(status="ok", mode=RELEASE.mode),
        Reply(204),
        Reply(202, body=b"fine"),
    ],
)
def test_a_2xx_of_an_app_that_takes_no_mode_and_version_from_us_is_healthy(reply: Reply) -> None:
    assert health.problem(reply, RELEASE) == ""


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (said(mode="canary"), "/healthz says mode 'canary', and the release's is 'stable'"),
        (said(mode="stable", version="0.9"), "/healthz says version '0.9', and the release's is '1.0.0'"),
    ],
)
def test_an_answer_with_the_mode_of_another_release_is_a_fault(reply: Reply, words: str) -> None:
    assert health.problem(reply, RELEASE) == words


def test_a_redirect_is_named_with_its_location_and_the_host_that_was_asked() -> None:
    reply = Reply(301, {"Location": "https://127.0.0.1/healthz"}, host="127.0.0.1:8081")
    assert health.problem(reply, RELEASE) == (
        "/healthz answers 301 with Location 'https://127.0.0.1/healthz' to a request for Host 127.0.0.1:8081"
        " (services.health.host sets another)"
    )


def test_an_unhealthy_answer_is_quoted_up_to_200_bytes() -> None:
    reply = Reply(503, body=b"no database " + b"x" * 400, host="127.0.0.1:8081")
    found = health.problem(reply, RELEASE)
    assert found.startswith("/healthz answers 503 to a request for Host 127.0.0.1:8081: 'no database xxx")
    assert found.endswith("…")
    assert found.count("x") == 188


def test_a_secret_at_the_cut_is_masked_before_the_answer_is_cut() -> None:
    reply = Reply(500, body=b"y" * 190 + b"hunter2-hunter2-hunter2")
    found = health.problem(reply, RELEASE, secrets=["hunter2-hunter2-hunter2"])
    assert "hunter2" not in found
    assert "[secret]" in found


@pytest.mark.parametrize(
    ("found", "loopback", "words"),
    [
        (None, True, ""),
        ([("127.0.0.1", 3000)], True, ""),
        ([("0.0.0.0", 3000)], False, ""),
        ([("::", 3000)], False, ""),
        ([], True, "nothing listens on APP_PORT 3000"),
        (
            [("127.0.0.1", 8000), ("::1", 8000)],
            True,
            "nothing listens on APP_PORT 3000; the app listens on 127.0.0.1:8000, [::1]:8000",
        ),
        (
            [("127.0.0.1", 3000)],
            False,
            "the app listens on 127.0.0.1:3000, not on 0.0.0.0:3000, where nginx asks",
        ),
    ],
)
def test_where_an_app_listens_instead_is_named(
    found: list[tuple[str, int]] | None, loopback: bool, words: str
) -> None:
    assert health.where_it_listens(3000, found, loopback=loopback) == words


def test_a_release_without_a_host_of_its_own_keeps_its_id() -> None:
    assert '"host"' not in RELEASE.label
    named = dataclasses.replace(RELEASE, health=Health("/healthz", 1.0, 3, 60.0, "shop.example.com"))
    assert named.id != RELEASE.id
    assert from_label(named.label) == named
    assert from_label(RELEASE.label) == RELEASE

"""What the app answers on each path, in each mode."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import requests

from .conftest import App

CANARY_ANSWERS = [
    ("GET", "/", b"", 200),
    ("HEAD", "/", b"", 200),
    ("GET", "/healthz", b"", 200),
    ("GET", "/metrics", b"", 200),
    ("POST", "/chaos", b'{"mode": "recover"}', 200),
    ("POST", "/chaos", b"not json", 400),
    ("POST", "/chaos", b" " * 65537, 413),
    ("GET", "/nowhere", b"", 404),
    ("HEAD", "/nowhere", b"", 404),
    ("PUT", "/", b"x", 405),
    ("OPTIONS", "/metrics", b"", 405),
    ("BREW", "/healthz", b"", 405),
    ("HEAD", "/chaos", b"", 405),
]


def test_root_says_who_answers_and_when(canary: App) -> None:
    answer = canary.get("/")
    document = answer.json()
    assert answer.status_code == 200
    assert set(document) == {"message", "mode", "version", "timestamp"}
    assert (document["mode"], document["version"]) == ("canary", "2.1.0")
    assert document["message"]
    assert abs(datetime.now(UTC) - datetime.fromisoformat(document["timestamp"])) < timedelta(seconds=5)


def test_without_settings_the_app_is_stable_1_0_0(stable: App) -> None:
    document = stable.get("/").json()
    assert (document["mode"], document["version"]) == ("stable", "1.0.0")


def test_health_gives_an_uptime_that_grows(stable: App) -> None:
    first, second = stable.get("/healthz").json(), stable.get("/healthz").json()
    assert set(first) == {"status", "mode", "version", "uptime_seconds"}
    assert first["status"] == "ok"
    assert 0 < first["uptime_seconds"] <= second["uptime_seconds"] < 300


def test_query_and_absolute_target_do_not_change_the_path(stable: App) -> None:
    assert stable.get("/healthz?full=1").status_code == 200
    with stable.wire() as wire:
        wire.send("GET http://example.test/healthz HTTP/1.1", "Host: example.test")
        assert wire.reply().status == 200
        wire.send("GET http://[broken/ HTTP/1.1", "Host: example.test")
        assert wire.reply().status == 400


@pytest.mark.parametrize("path", ["/", "/healthz", "/metrics"])
def test_head_has_the_headers_of_get_and_no_body(stable: App, path: str) -> None:
    with stable.wire() as wire:
        wire.send(f"HEAD {path} HTTP/1.1", "Host: a")
        head = wire.reply(bare=True)
        wire.send(f"GET {path} HTTP/1.1", "Host: a")
        get = wire.reply()
    changing = {"Date", "Content-Length"}
    assert head.status == get.status == 200
    assert set(head.headers) == set(get.headers)
    assert {name: head.headers[name] for name in head.headers if name not in changing} == {
        name: get.headers[name] for name in get.headers if name not in changing
    }
    assert int(head.headers["Content-Length"]) > 0


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_an_unknown_path_is_404_in_json(stable: App, method: str) -> None:
    answer = requests.request(method, f"{stable.url}/nowhere", timeout=5)
    assert answer.status_code == 404
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.json()["error"]


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("POST", "/", "GET, HEAD"),
        ("DELETE", "/healthz", "GET, HEAD"),
        ("PATCH", "/metrics", "GET, HEAD"),
        ("GET", "/chaos", "POST"),
        ("HEAD", "/chaos", "POST"),
    ],
)
def test_a_wrong_method_is_405_with_allow_in_json(stable: App, method: str, path: str, allow: str) -> None:
    answer = requests.request(method, stable.url + path, timeout=5)
    assert answer.status_code == 405
    assert answer.headers["Allow"] == allow
    assert method == "HEAD" or answer.json()["error"]


@pytest.mark.parametrize(("method", "path", "body", "status"), CANARY_ANSWERS)
def test_every_canary_answer_carries_x_mode_once(
    canary: App, method: str, path: str, body: bytes, status: int
) -> None:
    with canary.wire() as wire:
        wire.send(f"{method} {path} HTTP/1.1", "Host: a", f"Content-Length: {len(body)}", body=body)
        reply = wire.reply(bare=method == "HEAD")
    assert reply.status == status
    assert reply.headers["X-Mode"] == "canary"


def test_an_injected_error_and_an_unreadable_request_carry_x_mode_too(canary: App) -> None:
    canary.chaos({"mode": "error", "rate": 1})
    answer = canary.get("/")
    assert (answer.status_code, answer.headers["X-Mode"]) == (500, "canary")
    with canary.wire() as wire:
        wire.send("nonsense")
        reply = wire.reply()
    assert (reply.status, reply.headers["X-Mode"]) == (400, "canary")


@pytest.mark.parametrize(("method", "path", "body", "status"), CANARY_ANSWERS)
def test_no_stable_answer_carries_x_mode(
    stable: App, method: str, path: str, body: bytes, status: int
) -> None:
    with stable.wire() as wire:
        wire.send(f"{method} {path} HTTP/1.1", "Host: a", f"Content-Length: {len(body)}", body=body)
        reply = wire.reply(bare=method == "HEAD")
    assert reply.status == (403 if (method, path) == ("POST", "/chaos") else status)
    assert "X-Mode" not in reply.headers

"""Harm on request: only in canary, only what was asked, and never to those who look after the app."""

from __future__ import annotations

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from http_server import Limits

from .conftest import App, Serve, Wire, until

BAD_ORDERS = [
    b"",
    b"not json",
    b"\xff\xfe\xff",
    b"[" * 60000,
    b"[]",
    b'"slow"',
    b"null",
    b"{}",
    b'{"mode": "fast"}',
    b'{"mode": "recover", "since": NaN}',
    b'{"mode": ["slow"], "duration": 1}',
    b'{"mode": true}',
    b'{"mode": "slow"}',
    b'{"mode": "slow", "duration": "1"}',
    b'{"mode": "slow", "duration": null}',
    b'{"mode": "slow", "duration": true}',
    b'{"mode": "slow", "duration": 0}',
    b'{"mode": "slow", "duration": -1}',
    b'{"mode": "slow", "duration": 300.1}',
    b'{"mode": "slow", "duration": 1e999}',
    b'{"mode": "slow", "duration": NaN}',
    b'{"mode": "slow", "duration": Infinity}',
    b'{"mode": "slow", "duration": ' + b"9" * 5000 + b"}",
    b'{"mode": "slow", "rate": 1}',
    b'{"mode": "error"}',
    b'{"mode": "error", "rate": "0.5"}',
    b'{"mode": "error", "rate": false}',
    b'{"mode": "error", "rate": -0.1}',
    b'{"mode": "error", "rate": 1.1}',
    b'{"mode": "error", "rate": NaN}',
]


def chaos_gauge(app: App) -> str:
    lines = app.get("/metrics").text.splitlines()
    return next(line for line in lines if line.startswith("chaos_active "))


@pytest.mark.parametrize(
    ("order", "state"),
    [
        ({"mode": "slow", "duration": 2}, {"status": "active", "mode": "slow", "duration": 2}),
        ({"mode": "slow", "duration": 300}, {"status": "active", "mode": "slow", "duration": 300}),
        ({"mode": "slow", "duration": 0.01}, {"status": "active", "mode": "slow", "duration": 0.01}),
        ({"mode": "error", "rate": 0.5}, {"status": "active", "mode": "error", "rate": 0.5}),
        ({"mode": "error", "rate": 0}, {"status": "active", "mode": "error", "rate": 0}),
        ({"mode": "error", "rate": 1}, {"status": "active", "mode": "error", "rate": 1}),
        ({"mode": "recover"}, {"status": "recovered", "mode": "recover"}),
    ],
)
def test_an_order_is_answered_with_the_state_in_force(
    canary: App, order: dict[str, object], state: dict[str, object]
) -> None:
    answer = canary.chaos(order)
    assert (answer.status_code, answer.json()) == (200, state)


@pytest.mark.parametrize("body", BAD_ORDERS, ids=lambda body: repr(body[:40]))
def test_a_bad_order_is_400_and_changes_nothing(canary: App, body: bytes) -> None:
    canary.chaos({"mode": "error", "rate": 0})
    answer = canary.chaos(body)
    assert answer.status_code == 400
    assert answer.json()["error"]
    assert chaos_gauge(canary) == "chaos_active 2"


def test_64_kib_are_read_and_one_byte_more_is_413(canary: App) -> None:
    canary.chaos({"mode": "error", "rate": 0})
    order = json.dumps({"mode": "slow", "duration": 0.01})
    assert canary.chaos(order + " " * (65537 - len(order))).status_code == 413
    assert chaos_gauge(canary) == "chaos_active 2"
    assert canary.chaos(order + " " * (65536 - len(order))).status_code == 200
    assert chaos_gauge(canary) == "chaos_active 1"


@pytest.mark.parametrize("body", [b'{"mode": "slow", "duration": 1}', b"not json", b" " * 65537, b""])
def test_stable_refuses_before_it_reads_the_order(stable: App, body: bytes) -> None:
    answer = stable.chaos(body)
    assert answer.status_code == 403
    assert answer.json()["error"]
    assert chaos_gauge(stable) == "chaos_active 0"


def test_slow_delays_whole_answers_and_spares_health_metrics_and_chaos(canary: App) -> None:
    canary.chaos({"mode": "slow", "duration": 0.5})
    for path in ("/", "/nowhere"):
        with canary.wire() as wire:
            started = time.monotonic()
            wire.send(f"GET {path} HTTP/1.1", "Host: a")
            first_byte = wire.socket.recv(1)
            assert time.monotonic() - started >= 0.5
            assert first_byte == b"H"
    started = time.monotonic()
    assert canary.get("/healthz").status_code == canary.get("/metrics").status_code == 200
    assert canary.chaos({"mode": "slow", "duration": 0.5}).status_code == 200
    assert time.monotonic() - started < 0.5


def test_error_rate_one_fails_all_but_health_metrics_and_chaos(canary: App) -> None:
    canary.chaos({"mode": "error", "rate": 1})
    answers = [canary.get("/") for _ in range(20)]
    assert [answer.status_code for answer in answers] == [500] * 20
    assert answers[0].json()["error"]
    assert canary.get("/healthz").status_code == canary.get("/metrics").status_code == 200
    assert canary.chaos({"mode": "recover"}).status_code == 200
    assert canary.get("/").status_code == 200


def test_error_rates_between_fail_about_that_share(canary: App) -> None:
    canary.chaos({"mode": "error", "rate": 0})
    assert {canary.get("/").status_code for _ in range(20)} == {200}
    canary.chaos({"mode": "error", "rate": 0.5})
    failed = sum(canary.get("/").status_code == 500 for _ in range(200))
    assert 50 < failed < 150


def test_each_kind_replaces_the_former(canary: App) -> None:
    canary.chaos({"mode": "error", "rate": 1})
    canary.chaos({"mode": "slow", "duration": 0.01})
    assert chaos_gauge(canary) == "chaos_active 1"
    assert canary.get("/").status_code == 200
    canary.chaos({"mode": "slow", "duration": 300})
    canary.chaos({"mode": "error", "rate": 0})
    assert chaos_gauge(canary) == "chaos_active 2"
    assert canary.get("/").status_code == 200
    canary.chaos({"mode": "recover"})
    assert chaos_gauge(canary) == "chaos_active 0"


def test_an_answer_that_is_held_goes_out_when_the_app_recovers(canary: App) -> None:
    canary.chaos({"mode": "slow", "duration": 300})
    with ThreadPoolExecutor() as pool:
        held = pool.submit(canary.get, "/")
        until(lambda: "http_requests_in_progress 2" in canary.get("/metrics").text)
        canary.chaos({"mode": "recover"})
        assert held.result(timeout=5).status_code == 200


def test_held_answers_never_take_the_room_of_health_checks(serve: Serve) -> None:
    port = serve(max_held=3, limits=Limits(connections=4))
    with Wire(port) as control:
        order = b'{"mode": "slow", "duration": 300}'
        control.send("POST /chaos HTTP/1.1", "Host: a", f"Content-Length: {len(order)}", body=order)
        assert control.reply().status == 200
        with Wire(port) as one, Wire(port) as two, Wire(port) as three:
            for wire in (one, two, three):
                wire.send("GET / HTTP/1.1", "Host: a")
            until(lambda: b"http_requests_in_progress 4" in _get(control, "/metrics"))
            assert b'"ok"' in _get(control, "/healthz")
            control.send("GET / HTTP/1.1", "Host: a")
            assert control.reply().status == 503


def _get(wire: Wire, path: str) -> bytes:
    wire.send(f"GET {path} HTTP/1.1", "Host: a")
    return wire.reply().body


def test_orders_and_answers_at_once_never_mix(canary: App) -> None:
    """Every answer is one of those that some state asks for, while the state changes under it."""
    seen: set[int] = set()
    done = threading.Event()

    def ask() -> None:
        while not done.is_set():
            seen.add(canary.get("/").status_code)

    with ThreadPoolExecutor() as pool:
        askers = [pool.submit(ask) for _ in range(4)]
        for _ in range(20):
            canary.chaos({"mode": "error", "rate": 1})
            canary.chaos({"mode": "slow", "duration": 0.001})
        until(lambda: seen == {200, 500} or done.is_set())
        done.set()
        for asker in askers:
            asker.result(timeout=5)
    assert seen == {200, 500}

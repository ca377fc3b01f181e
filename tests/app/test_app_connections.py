"""How the app behaves on the wire, also towards clients that do not."""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack

import pytest
from http_server import Limits, Server
from service import Service

from .conftest import App, Serve, Wire, until

QUICK = Limits(connections=8, idle=0.3, request=0.5, send=1, leave=0.3)


def test_a_connection_is_kept_and_pipelined_requests_are_answered_in_order(canary: App) -> None:
    with canary.wire() as wire:
        for _ in range(3):
            wire.send("GET /healthz HTTP/1.1", "Host: a")
            reply = wire.reply()
            assert (reply.status, reply.headers.get("Connection")) == (200, None)
        body = b'{"mode": "recover"}'
        wire.send(
            "GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\nPOST /chaos HTTP/1.1\r\nHost: a",
            f"Content-Length: {len(body)}",
            body=body + b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\nGET /healthz HTTP/1.1\r\nHost: a\r\n\r\n",
        )
        replies = [wire.reply(), wire.reply(), wire.reply(bare=True), wire.reply()]
    assert [reply.status for reply in replies] == [404, 200, 200, 200]
    assert b"uptime_seconds" in replies[-1].body


@pytest.mark.parametrize("path", ["/", "/nowhere", "/chaos"])
def test_an_unread_body_is_not_taken_for_a_request(stable: App, path: str) -> None:
    body = b"GET /healthz HTTP/1.1\r\n\r\n"
    with stable.wire() as wire:
        wire.send(f"POST {path} HTTP/1.1", "Host: a", f"Content-Length: {len(body)}", body=body)
        assert wire.reply().status in {403, 404, 405}
        wire.send("GET / HTTP/1.1", "Host: a")
        assert b"message" in wire.reply().body


def test_connection_close_and_http_1_0_are_obeyed(stable: App) -> None:
    with stable.wire() as wire:
        wire.send("GET / HTTP/1.1", "Host: a", "Connection: close")
        assert wire.reply().headers["Connection"] == "close"
        assert wire.ended()
    with stable.wire() as wire:
        wire.send("GET / HTTP/1.0")
        assert wire.reply().headers["Connection"] == "close"
        assert wire.ended()
    with stable.wire() as wire:
        for _ in range(2):
            wire.send("GET / HTTP/1.0", "Connection: keep-alive")
            assert wire.reply().headers["Connection"] == "keep-alive"


def test_expect_100_continue_asks_for_the_body_unless_it_is_refused(canary: App) -> None:
    body = b'{"mode": "recover"}'
    with canary.wire() as wire:
        headers = ("Host: a", "Expect: 100-continue")
        wire.send("POST /chaos HTTP/1.1", *headers, f"Content-Length: {len(body)}")
        assert wire.reply().status == 100
        wire.socket.sendall(body)
        assert wire.reply().status == 200
        wire.send("POST /chaos HTTP/1.1", *headers, "Content-Length: 65537")
        reply = wire.reply()
        assert (reply.status, reply.headers["Connection"]) == (413, "close")
        assert wire.ended()


@pytest.mark.parametrize("size", [65537, 4_000_000])
def test_the_refusal_of_a_large_body_reaches_a_client_that_sends_all_of_it(canary: App, size: int) -> None:
    with canary.wire() as wire:
        wire.send("POST /chaos HTTP/1.1", "Host: a", f"Content-Length: {size}", body=b"x" * size)
        reply = wire.reply()
        assert (reply.status, reply.headers["Connection"]) == (413, "close")
        assert wire.ended()


def test_a_chunked_body_is_411_and_changes_nothing(canary: App) -> None:
    with canary.wire() as wire:
        wire.send(
            "POST /chaos HTTP/1.1", "Host: a", "Transfer-Encoding: chunked",
            body=b'1f\r\n{"mode": "slow", "duration": 300}\r\n0\r\n\r\n',
        )  # fmt: skip
        reply = wire.reply()
        assert (reply.status, reply.headers["Connection"]) == (411, "close")
        assert wire.ended()
    assert "chaos_active 0" in canary.get("/metrics").text


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        (["GET / HTTP/1.1", "Content-Length: -1"], 400),
        (["GET / HTTP/1.1", "Content-Length: +1"], 400),
        (["GET / HTTP/1.1", "Content-Length: 1, 1"], 400),
        (["GET / HTTP/1.1", "Content-Length: 1", "Content-Length: 2"], 400),
        (["GET / HTTP/1.1", "Content-Length : 5"], 400),
        (["GET / HTTP/1.1", "no colon"], 400),
        (["GET / HTTP/1.1", "Content-Length: " + "9" * 5000], 413),
        (["GET / HTTP/1.1", *["X: y"] * 101], 431),
        (["GET / HTTP/1.1", "X: " + "y" * 70000], 431),
        (["GET /" + "y" * 70000 + " HTTP/1.1"], 414),
        (["GET /"], 400),
        (["GET / HTTP/2.0"], 505),
        (["GET / SMTP/1.1"], 400),
        (["one two three four"], 400),
    ],
    ids=lambda value: value if isinstance(value, int) else value[-1][:30],
)
def test_what_cannot_be_understood_is_refused_in_json_and_ends(
    stable: App, lines: list[str], status: int
) -> None:
    with stable.wire() as wire:
        wire.send(*lines)
        reply = wire.reply()
        assert (reply.status, reply.headers["Connection"]) == (status, "close")
        assert reply.headers["Content-Type"] == "application/json"
        assert b'"error"' in reply.body
        assert wire.ended()


def test_an_idle_connection_ends_silently_after_its_time(serve: Serve) -> None:
    with Wire(serve(limits=QUICK)) as wire:
        wire.send("GET / HTTP/1.1", "Host: a")
        assert wire.reply().status == 200
        started = time.monotonic()
        assert wire.ended()
        assert 0.2 < time.monotonic() - started < 2


@pytest.mark.parametrize(
    "start",
    [
        b"GET / HT",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: ",
        b"POST /chaos HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\n",
    ],
    ids=["request line", "headers", "body"],
)
def test_a_request_that_trickles_is_408_within_its_time(serve: Serve, start: bytes) -> None:
    with Wire(serve(limits=QUICK)) as wire:
        wire.socket.sendall(start)
        wire.socket.settimeout(0.05)
        started = time.monotonic()
        answer = b""
        while not answer and time.monotonic() - started < 5:
            wire.socket.sendall(b"x")
            try:
                answer = wire.socket.recv(100)
            except TimeoutError:
                continue
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert 0.4 < time.monotonic() - started < 2


def test_a_body_that_ends_early_is_400(stable: App) -> None:
    with stable.wire() as wire:
        wire.send("POST / HTTP/1.1", "Host: a", "Content-Length: 10", body=b"12345")
        wire.socket.shutdown(1)
        assert wire.reply().status == 400
        assert wire.ended()


def test_a_client_that_reads_nothing_is_let_go(serve: Serve) -> None:
    port = serve(limits=QUICK)
    with Wire(port) as deaf, pytest.raises(ConnectionError):
        while True:
            deaf.socket.sendall(b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n" * 1000)
    with Wire(port) as wire:
        wire.send("GET /healthz HTTP/1.1", "Host: a")
        assert wire.reply().status == 200


def test_a_connection_that_becomes_idle_while_stopping_ends_too() -> None:
    server = Server(("127.0.0.1", 0), Service(mode="stable", version="1"))
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    server.stopping.set()
    with Wire(server.server_address[1]) as wire:
        assert wire.ended()
    server.stop(5)


def test_past_the_bound_connections_are_503_and_served_again_later(serve: Serve) -> None:
    port = serve(limits=QUICK)
    with ExitStack() as stack:
        for _ in range(QUICK.connections):
            stack.enter_context(Wire(port)).socket.sendall(b"GET ")
        with Wire(port) as one_more:
            one_more.send("GET / HTTP/1.1", "Host: a")
            reply = one_more.reply()
            assert (reply.status, reply.headers["Connection"]) == (503, "close")
            assert (reply.headers["X-Mode"], b'"error"' in reply.body) == ("canary", True)
            assert one_more.ended()

    def served() -> bool:
        with Wire(port) as wire:
            wire.send("GET / HTTP/1.1", "Host: a")
            return wire.reply().status == 200

    until(served)


def test_600_connections_at_once_are_all_served_and_many_more_never_hang(stable: App) -> None:
    def open_all(count: int) -> list[int]:
        with ExitStack() as stack:
            wires = [stack.enter_context(stable.wire()) for _ in range(count)]
            for wire in wires:
                wire.send("GET / HTTP/1.1", "Host: a")
            return [wire.reply().status for wire in wires]

    assert open_all(600) == [200] * 600
    until(lambda: stable.get("/healthz").status_code == 200)
    crowd = open_all(700)
    assert set(crowd) == {200, 503}
    assert crowd.count(200) >= 512
    until(lambda: stable.get("/healthz").status_code == 200)

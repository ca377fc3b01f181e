"""The load client distinguishes the faults between a client and a real server, and never retries."""

from __future__ import annotations

import socket
import socketserver
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from bench.load import Load, Plan, under_load
from bench.tally import KINDS, Tally, report

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nX-Mode: canary\r\n\r\nfine"


class Server(socketserver.ThreadingTCPServer):
    """Reads whole requests and leaves it to `answer(connection)` what comes back; False ends it."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, answer: Callable[[socket.socket], bool]) -> None:
        self.answer = answer
        self.requests: list[bytes] = []
        self.connections = 0
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that has gone away is none here."""


class Handler(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        server = self.server
        assert isinstance(server, Server)
        server.connections += 1
        while head := self._head():
            body = self.rfile.read(24) if head.startswith(b"POST") else b""
            server.requests.append(head + body)
            if not server.answer(self.connection):
                return

    def _head(self) -> bytes:
        head = b""
        while line := self.rfile.readline():
            if line == b"\r\n":
                return head
            head += line
        return b""


@contextmanager
def serving(answer: Callable[[socket.socket], bool]) -> Iterator[Server]:
    with Server(answer) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def says(data: bytes, *, keeps: bool = True) -> Callable[[socket.socket], bool]:
    def answer(connection: socket.socket) -> bool:
        connection.sendall(data)
        return keeps

    return answer


def resets(connection: socket.socket) -> bool:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return False


def waits(connection: socket.socket) -> bool:
    connection.recv(1)
    return False


def load(port: int, **changes: Any) -> Tally:
    return Load(replace(Plan(port, rate=200, kept=4, seconds=0.25, timeout=30), **changes)).run()


def failed(tally: Tally) -> dict[str, int]:
    return {kind: count for kind in KINDS if (count := tally.count(kind))}


def test_the_rate_is_kept_on_as_many_connections_as_were_asked_for() -> None:
    with serving(says(ANSWER)) as server:
        tally = load(server.port, rate=100, seconds=1)
    assert (tally.requests, tally.good, failed(tally)) == (100, 100, {})
    assert server.connections == 4
    assert tally.modes == {"canary": 100}
    assert tally.seconds > 0.9


def test_three_in_ten_requests_are_posts_with_a_body() -> None:
    with serving(says(ANSWER)) as server:
        tally = load(server.port, rate=1000, seconds=0.5)
    posts = [request for request in server.requests if request.startswith(b"POST / HTTP/1.1\r\n")]
    assert all(request.endswith(b'{"note": "a small body"}') for request in posts)
    assert tally.methods == {"POST": len(posts), "GET": len(server.requests) - len(posts)}
    assert 100 < len(posts) < 200


def test_an_answer_that_is_slow_does_not_slow_the_schedule_down() -> None:
    def slowly(connection: socket.socket) -> bool:
        if not stalled.is_set():
            stalled.set()
            time.sleep(0.15)
        return says(ANSWER)(connection)

    stalled = threading.Event()
    with serving(slowly) as server:
        tally = load(server.port, kept=1)
    assert tally.requests == 50
    assert max(tally.waits) > 0.14
    assert sum(wait > 0.02 for wait in tally.waits) > 5, "those that were due meanwhile were not counted late"


def test_a_fresh_lane_opens_a_connection_for_each_request() -> None:
    with serving(says(ANSWER)) as server:
        tally = load(server.port, kept=0, fresh=4)
    assert tally.good == server.connections == 50
    assert all(b"Connection: close\r\n" in request for request in server.requests)


def test_nobody_listening_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    tally = load(port)
    assert failed(tally) == {"refused": 50}
    assert {failure.method for failure in tally.failures} == {"GET", "POST"}


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        pytest.param(resets, "reset", id="reset"),
        pytest.param(lambda _: False, "reset", id="closed without a word"),
        pytest.param(waits, "timeout", id="no answer"),
        pytest.param(says(b"HTTP/1.1 200 OK\r\nContent-Le"), "timeout", id="half a head and no more"),
        pytest.param(says(b"HTTP/1.1 503 No\r\nContent-Length: 4\r\n\r\nsick"), "5xx", id="503"),
        pytest.param(says(ANSWER[:-1], keeps=False), "short", id="short body"),
        pytest.param(says(ANSWER[:20], keeps=False), "short", id="short head"),
        pytest.param(says(b"nothing of HTTP\r\n\r\n"), "short", id="not HTTP"),
        pytest.param(says(b"HTTP/1.1 200 OK\r\n\r\n"), "short", id="no length"),
        pytest.param(says(b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 20000), "short", id="endless head"),
    ],
)
def test_what_is_no_good_answer_is_counted_by_its_kind(
    answer: Callable[[socket.socket], bool], kind: str
) -> None:
    with serving(answer) as server:
        tally = load(server.port, rate=40, kept=10, timeout=2 if kind == "timeout" else 30)
    assert failed(tally) == {kind: 10}
    assert tally.good == 0
    assert len(server.requests) <= 10, "a request was asked twice"


def test_a_4xx_is_an_answer() -> None:
    with serving(says(b"HTTP/1.1 405 No\r\nContent-Length: 0\r\n\r\n")) as server:
        assert failed(load(server.port)) == {}


def test_a_close_while_idle_is_no_failure_and_a_new_connection_is_made() -> None:
    def leaves(connection: socket.socket) -> bool:
        return says(ANSWER, keeps=False)(connection)

    with serving(leaves) as server:
        tally = load(server.port, kept=0, idle=2, pauses=(0.2, 0.3), seconds=3)
    assert failed(tally) == {}
    assert tally.good == server.connections > 2
    assert tally.closed_idle == tally.good - 4


def test_an_announced_close_is_no_close_while_idle() -> None:
    announced = ANSWER.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    with serving(says(announced, keeps=False)) as server:
        tally = load(server.port)
    assert (tally.good, tally.closed_idle, server.connections) == (50, 0, 50)


def test_idle_connections_rest_after_each_answer() -> None:
    with serving(says(ANSWER)) as server:
        tally = load(server.port, kept=0, idle=1, pauses=(0.2, 0.5), seconds=1.2)
    assert server.connections == 2
    assert 1 + 1 <= tally.good <= 5 + 2


def test_the_longest_outage_lasts_from_the_last_good_answer_to_the_next() -> None:
    def sick_for_a_while(connection: socket.socket) -> bool:
        if not 20 < len(server.requests) <= 30:
            return says(ANSWER)(connection)
        time.sleep(0.05)
        return says(b"HTTP/1.1 502 No\r\nContent-Length: 0\r\n\r\n")(connection)

    with serving(sick_for_a_while) as server:
        tally = load(server.port, kept=1)
    assert (tally.good, failed(tally)) == (40, {"5xx": 10})
    first, last = tally.failures[0].at, tally.failures[-1].at
    assert last - first + 0.05 < tally.outage < tally.seconds


def test_without_a_failure_there_was_no_outage() -> None:
    with serving(says(ANSWER)) as server:
        tally = load(server.port, rate=4, kept=1, seconds=1)
    assert (tally.good, tally.outage) == (4, 0)


def test_an_outage_that_does_not_end_lasts_to_the_end() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    tally = load(port)
    assert tally.outage == pytest.approx(tally.seconds, abs=0.001)


def test_what_came_due_and_could_not_be_sent_in_time_is_counted() -> None:
    with serving(waits) as server:
        tally = load(server.port, kept=1, timeout=0.3)
    assert tally.requests + tally.unsent == 50
    assert 1 <= tally.requests == tally.count("timeout") <= 3


def test_a_load_ends_with_its_block_and_awaits_what_is_on_its_way() -> None:
    def slowly(connection: socket.socket) -> bool:
        time.sleep(0.2)
        return says(ANSWER)(connection)

    with (
        serving(slowly) as server,
        under_load(
            Plan(server.port, rate=20, kept=20, idle=1, pauses=(40,), seconds=60, timeout=5)
        ) as running,
    ):
        while len(server.requests) < 10:
            time.sleep(0.01)
    assert running.tally.requests == running.tally.good == len(server.requests)
    assert running.tally.seconds < 20


def test_a_block_that_fails_ends_its_load() -> None:
    began = time.monotonic()
    with serving(says(ANSWER)) as server, pytest.raises(KeyError), under_load(Plan(server.port, seconds=60)):
        raise KeyError("the block")
    assert time.monotonic() - began < 20


@pytest.mark.parametrize(
    "changes", [{"rate": 0}, {"rate": 50_000}, {"kept": 1000}, {"kept": 0}, {"seconds": 7200}]
)
def test_a_load_out_of_bounds_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must be above 0 and at most"):
        replace(Plan(1), **changes)


def test_the_report_names_every_kind_of_failure() -> None:
    with serving(says(ANSWER)) as server:
        said = report(load(server.port))
    assert "failed             0: refused 0, reset 0, timeout 0, 5xx 0, short 0" in said
    assert "50 in " in said

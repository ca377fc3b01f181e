"""Requests to nginx and the slots: one deadline and one limit for a whole answer."""

from __future__ import annotations

import socket
import threading
import time

import pytest

from swiftdeploy_tasks.proxy import probe
from tests.slow_apps import serving, whole


@pytest.mark.parametrize(
    "head", [b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", b"HTTP/1.1 200 OK\r\nX: "]
)
def test_an_answer_that_trickles_is_given_up_at_the_deadline_of_the_whole(head: bytes) -> None:
    ended = threading.Event()

    def trickle(connection: socket.socket, _: str) -> None:
        connection.sendall(head)
        while not ended.wait(0.05):
            connection.sendall(b"x" * 100)

    with serving(trickle) as port:
        began = time.monotonic()
        reply = probe.ask(port, "/", timeout=0.5)
        taken = time.monotonic() - began
        ended.set()
    assert (reply.status, reply.late) == (None, True)
    assert reply.error == "no answer in time (0.5 s)"
    assert taken < 4


def test_an_answer_beyond_the_limit_is_none_and_names_the_limit() -> None:
    with serving(lambda connection, _: connection.sendall(whole("200 OK", b"x" * 1001))) as port:
        assert probe.ask(port, "/", limit=1001).status == 200
        assert probe.ask(port, "/", limit=1000).error == "the answer is larger than 1000 bytes"


def test_an_answer_that_ends_early_is_none() -> None:
    cut = whole("200 OK", b"x" * 50)[:-10]
    with serving(lambda connection, _: connection.sendall(cut)) as port:
        reply = probe.ask(port, "/")
    assert (reply.status, reply.error) == (None, "the connection was closed before the answer was whole")


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"", "the connection was closed without an answer"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "it does not answer in HTTP"),
    ],
)
def test_what_is_no_http_answer_says_so(answer: bytes, error: str) -> None:
    with serving(lambda connection, _: connection.sendall(answer)) as port:
        assert probe.ask(port, "/").error.startswith(error)


def test_a_port_without_a_listener_says_so() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        assert probe.ask(bound.getsockname()[1], "/").error == "nothing listens"


def test_time_outs_follow_what_was_measured_and_have_a_bound() -> None:
    pace = probe.Pace()
    pace.of(probe.Reply(200, seconds=0.01))
    assert pace.timeout == probe.SECONDS
    pace.of(probe.Reply(200, seconds=1.5))
    assert pace.timeout == 6
    pace.of(probe.Reply(None, seconds=6, late=True))
    assert pace.timeout == 12
    pace.of(probe.Reply(200, seconds=0.01))
    assert pace.timeout == 12
    pace.of(probe.Reply(None, seconds=12, late=True))
    pace.of(probe.Reply(None, seconds=24, late=True))
    assert pace.timeout == probe.LONGEST

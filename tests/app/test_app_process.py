"""The process: its settings, and its end."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from .conftest import APP, Wire, running, until


def start(**environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-B", str(APP / "main.py")],
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        timeout=10,
        check=False,
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MODE", "Canary"),
        ("MODE", ""),
        ("APP_PORT", "0"),
        ("APP_PORT", "65536"),
        ("APP_PORT", "80a"),
        ("APP_PORT", "²"),
        ("APP_PORT", ""),
        ("APP_VERSION", ""),
        ("APP_VERSION", "1\n2"),
        ("APP_VERSION", "v" * 129),
        ("APP_HOST", ""),
        ("APP_HOST", "999.1.1.1"),
        ("APP_HOST", "a" * 70),
    ],
)
def test_a_bad_setting_is_one_sentence_and_exit_2(name: str, value: str) -> None:
    ended = start(**{"APP_HOST": "127.0.0.1", "APP_PORT": "1", name: value})
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert name in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


def test_a_port_that_is_taken_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ended = start(APP_HOST="127.0.0.1", APP_PORT=str(port))
    assert ended.returncode == 2
    assert str(port) in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_copy_of_the_folder_runs_elsewhere(tmp_path: Path) -> None:
    copy = tmp_path / "some where" / "copied"
    shutil.copytree(APP, copy, ignore=shutil.ignore_patterns("__pycache__"))
    with running(script=copy / "main.py", APP_VERSION="7") as app:
        assert app.get("/").json()["version"] == "7"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_idle_connections_and_the_process_with_0(number: signal.Signals) -> None:
    with running() as app, app.wire() as fresh, app.wire() as kept:
        kept.send("GET / HTTP/1.1", "Host: a")
        assert kept.reply().status == 200
        started = time.monotonic()
        app.process.send_signal(number)
        assert app.process.wait(timeout=10) == 0
        assert time.monotonic() - started < 2
        assert kept.ended()
        assert fresh.ended()
        assert app.process.stderr is not None
        assert app.process.stderr.read() == ""


def test_sigterm_lets_held_answers_go_out_and_takes_no_more() -> None:
    with running(MODE="canary") as app, app.wire() as held:
        app.chaos({"mode": "slow", "duration": 300})
        held.send("GET / HTTP/1.1", "Host: a")
        until(lambda: "http_requests_in_progress 2" in app.get("/metrics").text)
        started = time.monotonic()
        app.process.send_signal(signal.SIGTERM)
        reply = held.reply()
        assert (reply.status, reply.headers["Connection"]) == (200, "close")
        assert held.ended()
        assert app.process.wait(timeout=10) == 0
        assert time.monotonic() - started < 2
        with pytest.raises(ConnectionRefusedError):
            Wire(app.port)


def test_sigterm_waits_for_a_request_that_is_still_being_sent() -> None:
    with running(MODE="canary") as app, app.wire() as late:
        body = b'{"mode": "recover"}'
        late.send("POST /chaos HTTP/1.1", "Host: a", "Expect: 100-continue", f"Content-Length: {len(body)}")
        assert late.reply().status == 100
        app.process.send_signal(signal.SIGTERM)
        until(lambda: _refuses(app.port))
        app.process.send_signal(signal.SIGTERM)
        late.socket.sendall(body)
        reply = late.reply()
        assert (reply.status, reply.headers["Connection"]) == (200, "close")
        assert app.process.wait(timeout=10) == 0


def test_what_had_connected_before_sigterm_is_answered_and_silent_connections_end() -> None:
    with running() as app, ExitStack() as stack:
        app.process.send_signal(signal.SIGSTOP)
        asking = [stack.enter_context(app.wire()) for _ in range(20)]
        silent = [stack.enter_context(app.wire()) for _ in range(20)]
        for wire in asking:
            wire.send("GET / HTTP/1.1", "Host: a")
        app.process.send_signal(signal.SIGTERM)
        started = time.monotonic()
        app.process.send_signal(signal.SIGCONT)
        replies = [wire.reply() for wire in asking]
        assert all(wire.ended() for wire in silent)
        assert app.process.wait(timeout=10) == 0
        assert time.monotonic() - started < 2
    assert [reply.status for reply in replies] == [200] * 20


def test_sigterm_does_not_wait_for_ever() -> None:
    with running() as app, app.wire() as never:
        never.socket.sendall(b"POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\n")
        until(lambda: "http_requests_total" in app.get("/metrics").text)
        started = time.monotonic()
        app.process.send_signal(signal.SIGTERM)
        assert app.process.wait(timeout=12) == 0
        assert 5 < time.monotonic() - started < 10


def _refuses(port: int) -> bool:
    try:
        Wire(port).__exit__()
    except ConnectionRefusedError:
        return True
    return False

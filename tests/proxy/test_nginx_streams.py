"""Streams and routes through a real nginx with our configuration."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from swiftdeploy_tasks.manifest.model import Manifest
from swiftdeploy_tasks.proxy.probe import until
from tests.e2e.wire import Answer, ask, send
from tests.ports import free_ports
from tests.proxy import accepted
from tests.proxy.real_nginx import serving

MEGABYTE = 1 << 20
EVENT = b"data: 1\n\n"
ROUTES: list[dict[str, Any]] = [
    {"path": "/upload", "body_size": "20m", "buffering": False},
    {"path": "/upload/small", "body_size": "1k"},
    {"path": "/free", "body_size": 0},
    {"path": "/quick", "proxy_timeout": "1s"},
]


class App(ThreadingHTTPServer):
    """Sends an event whenever one is due, and counts what it got of a body."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.due = threading.Semaphore(0)
        self.received = 0
        self.ended = threading.Event()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: App

    def do_GET(self) -> None:
        if self.path.startswith("/events"):
            self._send_events(is_chunked=self.path.endswith("/chunked"))
            return
        if self.path.startswith("/quick"):
            self.server.ended.wait(10)
        self._answer(b"ok")

    def do_POST(self) -> None:
        left = int(self.headers["Content-Length"])
        self.server.received = 0
        while left:
            got = len(self.rfile.read1(min(left, MEGABYTE)))
            left -= got
            self.server.received += got
        self._answer(str(self.server.received).encode())

    def _send_events(self, *, is_chunked: bool) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header(*(("Transfer-Encoding", "chunked") if is_chunked else ("Connection", "close")))
        self.end_headers()
        for _ in range(3):
            self.server.due.acquire(timeout=10)
            self.wfile.write(b"9\r\n" + EVENT + b"\r\n" if is_chunked else EVENT)
        self.wfile.write(b"0\r\n\r\n" if is_chunked else b"")
        self.close_connection = True

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Manifest, App, Path]]:
    public, operator = free_ports(2)
    asked = accepted(
        {
            "services": {"image": "shop:1", "port": 3000},
            "nginx": {"image": "nginx", "port": public, "operator_port": operator, "routes": ROUTES},
        }
    )
    app, folder = App(), tmp_path_factory.mktemp("nginx")
    threading.Thread(target=app.serve_forever, daemon=True).start()
    with serving(folder, asked, app_port=app.server_port):
        yield asked, app, folder
    app.ended.set()
    app.shutdown()
    app.server_close()


def connected(port: int, *lines: str) -> socket.socket:
    wire = socket.create_connection(("127.0.0.1", port), timeout=10)
    wire.sendall("\r\n".join([*lines, "Host: shop", "Connection: close", "", ""]).encode())
    return wire


@pytest.mark.parametrize("path", ["/events", "/events/chunked"])
def test_each_event_of_a_stream_arrives_at_once(running: tuple[Manifest, App, Path], path: str) -> None:
    asked, app, _ = running
    with connected(asked.nginx.port, f"GET {path} HTTP/1.1") as wire:
        seen = b""
        for many in range(1, 4):
            app.due.release()
            began = time.monotonic()
            while seen.count(EVENT) < many:
                seen += wire.recv(4096)
            assert time.monotonic() - began < 0.2


@pytest.mark.parametrize(
    ("path", "is_streamed"), [("/upload/x", True), ("/upload/small/x", False), ("/", False)]
)
def test_a_body_reaches_the_app_before_it_is_whole_where_the_route_says_so(
    running: tuple[Manifest, App, Path], path: str, is_streamed: bool
) -> None:
    asked, app, folder = running
    size = 1000 if "small" in path else 2 * MEGABYTE
    app.received = 0
    with connected(asked.nginx.port, f"POST {path} HTTP/1.1", f"Content-Length: {size}") as wire:
        wire.sendall(b"x" * (size - 1))
        assert until(lambda: app.received == size - 1, seconds=10 if is_streamed else 0.5) is is_streamed
        kept = [one for one in (folder / "temp" / "client_body").rglob("*") if one.is_file()]
        assert not (is_streamed and kept)
        wire.sendall(b"x")
        with wire.makefile("rb") as answer:
            assert answer.read().endswith(f"\r\n\r\n{size}".encode())


def posted(port: int, path: str, size: int) -> Answer:
    head = f"POST {path} HTTP/1.1\r\nHost: shop\r\nConnection: close\r\nContent-Length: {size}\r\n\r\n"
    return send(port, head.encode())


@pytest.mark.parametrize(
    ("path", "bound", "size"),
    [
        ("/", "8 MiB", 8 * MEGABYTE + 1),
        ("/uploa", "8 MiB", 8 * MEGABYTE + 1),
        ("/upload", "20 MiB", 20 * MEGABYTE + 1),
        ("/upload/large?x=/upload/small", "20 MiB", 20 * MEGABYTE + 1),
        ("/upload/small/x", "1 KiB", 1025),
        ("//upload/./small/x", "1 KiB", 1025),
    ],
)
def test_the_longest_route_gives_the_bound_that_a_413_names(
    running: tuple[Manifest, App, Path], path: str, bound: str, size: int
) -> None:
    asked, _, _ = running
    answer = posted(asked.nginx.port, path, size)
    assert (answer.status, answer.all("X-Deployed-By")) == (413, ["swiftdeploy"])
    assert answer.json()["error"] == f"the request body is larger than {bound}"


def test_a_body_size_of_0_is_unlimited(running: tuple[Manifest, App, Path]) -> None:
    asked, _, _ = running
    size = 30 * MEGABYTE
    answer = ask(asked.nginx.port, "/free", method="POST", body=b"x" * size)
    assert (answer.status, answer.body) == (200, str(size).encode())


def test_a_route_has_its_own_time_out(running: tuple[Manifest, App, Path]) -> None:
    asked, _, _ = running
    began = time.monotonic()
    assert ask(asked.nginx.port, "/quick/report").status == 504
    assert time.monotonic() - began < 10

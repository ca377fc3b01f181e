"""A connection that outlives its slot: a WebSocket, a stream, a client that reads slowly."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

from tests.e2e.project import Project

STREAMS = """
import os, signal, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("X-Accel-Buffering", "no")
        self.end_headers()
        self.wfile.write(b"ok")
        while self.path == "/stream":
            time.sleep(0.5)
            self.wfile.write(b".")

    def log_message(self, *words):
        pass

ThreadingHTTPServer((os.environ["APP_HOST"], int(os.environ["APP_PORT"])), Handler).serve_forever()
"""


@contextmanager
def open_stream(port: int) -> Iterator[None]:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as held:
        held.sendall(b"GET /stream HTTP/1.1\r\nHost: shop\r\n\r\n")
        assert held.recv(64).startswith(b"HTTP/1.1 200")
        yield


def test_a_drain_says_how_many_connections_it_waits_for_and_how_long(project: Project) -> None:
    project.use_app(STREAMS)
    project.manifest["services"]["metrics"] = None
    project.set(nginx__proxy_timeout=5, nginx__sockets=0, rollout={"interval": 1, "drain": 12})
    project.deploy()
    project.set(services__version="2.0.0")
    with open_stream(project.port):
        ended = project.deploy()
    assert "waiting for 1 open connection to the old slot; what is left is closed in" in ended.out

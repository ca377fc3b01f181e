"""How long nginx keeps an idle connection to the app: an app that closes it first could lose a POST."""

from __future__ import annotations

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.e2e.wire import ask
from tests.ports import free_ports
from tests.proxy import accepted
from tests.proxy.real_nginx import serving

# gunicorn's threads close a connection after 2 s; uvicorn and Node.js after 5 s.
SHORTEST_OF_SERVERS = 2.0


class App(ThreadingHTTPServer):
    """Notes for how many seconds each connection was idle before nginx closed it."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.idle: list[float] = []
        self.closed = threading.Event()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: App
    answered = 0.0

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")
        self.answered = time.monotonic()

    def finish(self) -> None:
        super().finish()
        self.server.idle.append(time.monotonic() - self.answered)
        self.server.closed.set()

    def log_message(self, *_: object) -> None:
        pass


def test_nginx_closes_an_idle_connection_before_any_common_server_does(tmp_path: Path) -> None:
    app = App()
    threading.Thread(target=app.serve_forever, daemon=True).start()
    public, operator = free_ports(2)
    nginx = {"image": "nginx:latest", "port": public, "operator_port": operator}
    manifest = accepted({"services": {"image": "shop:1", "port": 3000}, "nginx": nginx})
    try:
        with serving(tmp_path, manifest, app_port=app.server_port):
            assert ask(public, "/").status == 200
            assert app.closed.wait(10)
            # Not at once: a busy client's next request finds the connection open.
            assert 0.5 < app.idle[0] < SHORTEST_OF_SERVERS
    finally:
        app.shutdown()
        app.server_close()

"""A real nginx with a rendered configuration, in front of an app of the test's own."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from swiftdeploy_tasks.manifest.model import Manifest
from swiftdeploy_tasks.model.state import Site, Traffic
from swiftdeploy_tasks.proxy import configuration
from swiftdeploy_tasks.proxy.probe import until
from tests.e2e.wire import status
from tests.lab import require
from tests.proxy import FOLDERS


class _Echo(BaseHTTPRequestHandler):
    """Answers 200 with the target of the request line as it came, or what a header puts in its place."""

    def answer(self) -> None:
        path = self.headers["X-Original-URL"] or self.headers["X-Rewrite-URL"] or self.path
        body = path.encode("latin-1")
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_PUT = do_OPTIONS = answer

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serving(
    folder: Path,
    asked: Manifest,
    *,
    app_port: int = 0,
    up: int = 200,
    address: str = "",
    host: str = "shop",
) -> Iterator[None]:
    """Run nginx as the local engine has it, with an app in slot blue that echoes the request.

    With `app_port` the app is the caller's, and with `address` nginx listens there too. `up` is the status by
    which it is there, asked by the name `host`.
    """
    nginx = require("nginx")
    (folder / "temp").mkdir()
    site = Site(
        bind="127.0.0.1:",
        operators=("127.0.0.1",),
        resolver="",
        pid=str(folder / "nginx.pid"),
        temp=str(folder / "temp"),
        error_log="/dev/stderr",
        access_logs=(str(folder / "access.log"),),
        inline=True,
    )
    app = ThreadingHTTPServer(("127.0.0.1", 0), _Echo)
    app_port = app_port or app.server_port
    threading.Thread(target=app.serve_forever, daemon=True).start()
    rendered = configuration.render(
        asked,
        site,
        folders=FOLDERS,
        addresses={"blue": f"127.0.0.1:{app_port}"},
        traffic=Traffic({"blue": 100}),
        generation="g1",
    )
    text = rendered["nginx.conf"]
    if address:
        listen = f"listen 127.0.0.1:{asked.nginx.port} "
        text = text.replace(listen, f"listen {address}:{asked.nginx.port};\n        {listen}")

    def is_up() -> bool:
        return status(asked.nginx.port, "/", headers={"Host": host}) == up

    (folder / "nginx.conf").write_text(text, encoding="utf-8")
    words = [nginx, "-p", f"{folder}/", "-e", "stderr", "-c", str(folder / "nginx.conf")]
    log = (folder / "stderr").open("w+")
    process = subprocess.Popen([*words, "-g", "daemon off; master_process off;"], stderr=log)
    try:
        is_decided = until(lambda: process.poll() is not None or is_up(), seconds=20)
        assert is_decided and process.poll() is None, (folder / "stderr").read_text()
        yield
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        process.wait(10)
        log.close()
        app.shutdown()
        app.server_close()

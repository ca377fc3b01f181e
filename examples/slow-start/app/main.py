"""A service that takes a while to start and a minute for a report."""

import json
import os
import signal
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

START = float(os.environ.get("START_SECONDS", "20"))
REPORT = float(os.environ.get("REPORT_SECONDS", "60"))


class Handler(BaseHTTPRequestHandler):
    """Answers every path at once, and /report after REPORT seconds."""

    def do_GET(self) -> None:
        """Answer with the version, and with the report where it was asked for."""
        answer = {"version": os.environ["APP_VERSION"]}
        if self.path == "/report":
            time.sleep(REPORT)
            answer["report"] = "whole"
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(answer).encode())

    def do_POST(self) -> None:
        """Read the body, and answer as to GET."""
        self.rfile.read(int(self.headers.get("Content-Length", "0")))
        self.do_GET()

    def log_message(self, *_: object) -> None:
        """Log nothing: nginx logs each request."""


class Server(ThreadingHTTPServer):
    """Finishes its requests before it ends."""

    daemon_threads = False
    request_queue_size = 128


if __name__ == "__main__":
    time.sleep(START)
    server = Server((os.environ["APP_HOST"], int(os.environ["APP_PORT"])), Handler)
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    server.serve_forever()
    server.server_close()

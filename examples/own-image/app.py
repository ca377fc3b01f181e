"""A notebook: POST adds a line, GET counts the lines. It writes to three folders and runs as its own user."""

import getpass
import json
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

NOTES = Path("/var/lib/notes/notes.txt")  # must outlive the app
CACHE = Path("/var/cache/notes/last")  # may be lost
PID = Path("/run/notes/notes.pid")


class Handler(BaseHTTPRequestHandler):
    """Answers every path."""

    def do_GET(self) -> None:
        """Answer with the number of notes."""
        notes = len(NOTES.read_bytes().splitlines())
        CACHE.write_bytes(b"%d" % notes)
        found = {"version": os.environ["APP_VERSION"], "user": getpass.getuser(), "notes": notes}
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(found).encode())

    def do_POST(self) -> None:
        """Append the body as one line, in one write: two releases can do so at once."""
        note = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        with NOTES.open("ab", buffering=0) as file:
            file.write(note + b"\n")
        self.do_GET()

    def log_message(self, *_: object) -> None:
        """Log nothing: nginx logs each request."""


class Server(ThreadingHTTPServer):
    """Accepts many connections at once."""

    request_queue_size = 128


if __name__ == "__main__":
    PID.write_bytes(b"%d" % os.getpid())
    NOTES.touch()
    Server((os.environ["APP_HOST"], int(os.environ["APP_PORT"])), Handler).serve_forever()

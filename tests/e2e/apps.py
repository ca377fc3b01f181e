"""Apps that are not well, each a whole program for `Project.use_app`."""

from __future__ import annotations

EXITS = """
import sys
print("reading settings", flush=True)
print("no database at db.example.org", file=sys.stderr, flush=True)
sys.exit(3)
"""

TELLS_ITS_SECRET = """
import json, os, sys
print("cannot log in with", os.environ["TOKEN"], flush=True)
print(json.dumps({"token": os.environ["TOKEN"]}), flush=True)
sys.exit(3)
"""

MUTE = """
import os, socket, signal, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
listener = socket.create_server((os.environ["APP_HOST"], int(os.environ["APP_PORT"])))
print("listening and saying nothing", flush=True)
held = []
while True:
    held.append(listener.accept())
"""

_SERVER = """
import os, signal, sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        code, kind, body, *times = answer(self.path)
        times = times[0] if times else 1
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body) * times))
        self.send_header("X-Deployed-By", "the app itself")
        self.end_headers()
        for _ in range(times):
            self.wfile.write(body)

    def log_message(self, *words):
        print("answered", self.path, flush=True)

%s

ThreadingHTTPServer((os.environ["APP_HOST"], int(os.environ["APP_PORT"])), Handler).serve_forever()
"""

SICK = (
    _SERVER
    % """
def answer(path):
    return 500, "text/plain", b"the disk is full"
"""
)

WRONG_MODE = (
    _SERVER
    % """
def answer(path):
    return 200, "application/json", b'{"status": "ok", "mode": "canary"}'
"""
)

# An app without modes and versions that answers with its environment and its command line.
FOREIGN = (
    _SERVER
    % """
import json
PATTERN = bytes(range(256)) * 4096

def answer(path):
    if path == "/healthz":
        return 200, "text/plain", b"fine"
    if path == "/environment":
        return 200, "application/json", json.dumps(dict(os.environ)).encode()
    if path == "/large":
        return 200, "application/octet-stream", PATTERN, 96
    return 404, "text/plain", b"nothing here"
"""
)

# Appends a line to the file `rows` in its FOLDER for each request to /write/..., and tells the file at /rows.
WRITES = (
    _SERVER
    % """
import json
from pathlib import Path
ROWS = Path(os.environ["FOLDER"], "rows")
if "AT_ONCE" in os.environ:
    ROWS.write_text("at once\\n")

def answer(path):
    if path.startswith("/write/"):
        with ROWS.open("a") as file:
            file.write(path.removeprefix("/write/") + "\\n")
        return 200, "text/plain", b"written"
    if path == "/rows":
        return 200, "text/plain", ROWS.read_bytes() if ROWS.exists() else b""
    said = {"mode": os.environ["MODE"], "version": os.environ["APP_VERSION"]}
    return 200, "application/json", json.dumps(said).encode()
"""
)

# Answers only its own name, tells a version of its own, and sends what comes by another name elsewhere.
OF_ONE_NAME = (
    _SERVER.replace("answer(self.path)", "answer(self.path, self.headers['Host'])").replace(
        'self.send_header("X-Deployed-By"',
        'self.send_header("Location", "https://shop.example.com" + self.path)\n'
        '        self.send_header("X-Deployed-By"',
    )
    % """
METRICS = b'''# TYPE http_requests_total counter
http_requests_total{code="200"} 0
'''

def answer(path, host):
    if host != "shop.example.com":
        return 301, "text/plain", b"by another name"
    if path == "/metrics":
        return 200, "text/plain", METRICS
    return 201, "application/json", b'{"status": "ok", "version": "10.4.2"}'
"""
)

# Listens where nginx does not ask: on the port that is its argument, or on a loopback address.
ELSEWHERE = """
import http.server, os, signal, sys
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
port = int(sys.argv[1] if len(sys.argv) > 1 else os.environ["APP_PORT"])
http.server.ThreadingHTTPServer(("127.0.0.1", port), http.server.SimpleHTTPRequestHandler).serve_forever()
"""

# Healthy, with a metrics page that has no counter of requests.
WITHOUT_COUNTER = (
    _SERVER
    % """
def answer(path):
    if path == "/metrics":
        return 200, "text/plain", b"temperature 3\\n"
    return 200, "text/plain", b"fine"
"""
)

# Answers after as many seconds as the file SLOWNESS says, once it is there: a host that is busy.
SLOW = (
    _SERVER
    % """
import json, time
from pathlib import Path

def answer(path):
    slowness = Path(os.environ["SLOWNESS"])
    time.sleep(float(slowness.read_text()) if slowness.exists() else 0)
    said = {"mode": os.environ["MODE"], "version": os.environ["APP_VERSION"]}
    return 200, "application/json", json.dumps(said).encode()
"""
)

# Answers each line on an upgraded connection with its version, its path and the line.
SOCKETS = """
import os, signal, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if self.headers["Upgrade"] != "websocket" or self.headers["Connection"].lower() != "upgrade":
            body = repr((self.headers["Upgrade"], self.headers["Connection"])).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            return
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.end_headers()
        self.close_connection = True
        for line in self.rfile:
            self.wfile.write(os.environ["APP_VERSION"].encode() + b" " + self.path.encode() + b" " + line)

    def log_message(self, *words):
        pass

ThreadingHTTPServer((os.environ["APP_HOST"], int(os.environ["APP_PORT"])), Handler).serve_forever()
"""

# Fails at /error, takes 0.3 s at /slow, and measures both on a metrics page of its own.
MEASURED = (
    _SERVER
    % """
import threading, time
BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
STARTED, lock, counts, buckets = time.time(), threading.Lock(), {"200": 0, "500": 0}, [0] * (len(BOUNDS) + 1)

def page():
    lines = ["# TYPE http_requests_total counter"]
    lines += [f'http_requests_total{{code="{code}"}} {number}' for code, number in counts.items()]
    lines += ["# TYPE http_request_duration_seconds histogram"]
    lines += [
        f'http_request_duration_seconds_bucket{{le="{bound}"}} {sum(buckets[: index + 1])}'
        for index, bound in enumerate((*BOUNDS, "+Inf"))
    ]
    lines += [f"http_request_duration_seconds_count {sum(buckets)}", "http_request_duration_seconds_sum 0"]
    lines += ["# TYPE process_start_time_seconds gauge", f"process_start_time_seconds {STARTED}", ""]
    return "\\n".join(lines).encode()

def answer(path):
    if path == "/healthz":
        return 200, "text/plain", b"fine"
    if path == "/metrics":
        return 200, "text/plain", page()
    began = time.monotonic()
    time.sleep(0.3 if path == "/slow" else 0.001)
    code = 500 if path == "/error" else 200
    took = time.monotonic() - began
    with lock:
        counts[str(code)] += 1
        buckets[next((i for i, bound in enumerate(BOUNDS) if took <= bound), len(BOUNDS))] += 1
    return code, "text/plain", b"measured"
"""
)

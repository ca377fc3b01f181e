"""An app that is well until FAULT in its environment says otherwise, so that a fault is a new release.

A program of its own for `Project.use_app`, with the names of metrics that other apps have, too. Its version
is in the header X-Version of every answer.
"""

from __future__ import annotations

PROGRAM = r"""
import json, os, signal, socket, struct, sys, threading, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

FAULT = os.environ.get("FAULT", "")
WHO = json.dumps({"version": os.environ["APP_VERSION"], "mode": os.environ["MODE"]})
BEGAN = time.monotonic()
BOUNDS = (0.005, 0.05, 0.5, 1.0, 2.5, 5.0)
lock = threading.Lock()
asked = 0
recent = []
counts = {} if FAULT == "counts nothing yet" else {("GET", "/", 200): 0}
buckets, used = [0] * (len(BOUNDS) + 1), threading.Event()


def stop(*_):
    if FAULT == "deaf":
        print("not now", flush=True)
        return
    os._exit(0)


def die():
    if FAULT == "dies later":
        used.wait()
    time.sleep(3 if FAULT == "dies" else 1.5)
    print("no memory left", flush=True)
    os._exit(9)


signal.signal(signal.SIGTERM, stop)
if FAULT in ("dies", "dies later"):
    threading.Thread(target=die, daemon=True).start()
if FAULT:
    print("this release is ill:", FAULT, flush=True)
if FAULT == "exits at once":
    sys.exit(3)


def page():
    lines = ["# TYPE http_requests_total counter"]
    with lock:
        for (method, path, code), number in counts.items():
            labels = f'method="{method}",path="{path}",status_code="{code}"'
            lines.append(f"http_requests_total{{{labels}}} {number}")
        lines.append("# TYPE http_request_duration_seconds histogram")
        total = 0
        for bound, number in zip((*BOUNDS, "+Inf"), buckets):
            total += number
            lines.append(f'http_request_duration_seconds_bucket{{le="{bound}"}} {total}')
        lines.append(f"http_request_duration_seconds_count {total}")
        lines.append("http_request_duration_seconds_sum 0")
    lines.append("# TYPE app_uptime_seconds gauge")
    lines.append(f"app_uptime_seconds {time.monotonic() - BEGAN}")
    return "\n".join(lines) + "\n"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 75

    def do_GET(self):
        began = time.monotonic()
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        code, text = self.answer(body)
        if code is None:
            return
        if self.path not in ("/healthz", "/metrics"):
            used.set()
            with lock:
                key = (self.command, "/", code)
                counts[key] = counts.get(key, 0) + 1
                took = time.monotonic() - began
                buckets[next((i for i, b in enumerate(BOUNDS) if took <= b), len(BOUNDS))] += 1
        data = text.encode()
        self.send_response(code)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("X-Version", os.environ["APP_VERSION"])
        self.end_headers()
        self.wfile.write(data)

    do_POST = do_GET

    def answer(self, body):
        if self.path == "/healthz":
            ill = FAULT == "turns unhealthy" and used.is_set()
            return (503, "ill") if ill else (200, WHO)
        if self.path == "/metrics":
            if FAULT == "counts afresh":
                with lock:
                    counts.update(dict.fromkeys(counts, 0))
                    buckets[:] = [0] * len(buckets)
            if FAULT == "metrics hang":
                time.sleep(60)
            if FAULT == "metrics fail":
                return 500, "no figures"
            return 200, "<html>{{{ not a figure" if FAULT == "metrics garbage" else page()
        if self.path == "/slow":
            time.sleep(6)
        if FAULT == "fails above 40/s" and self.rate() > 40:
            return 500, "too much"
        if FAULT == "not found":
            return 404, "nothing here"
        if FAULT == "one in three resets" and self.is_nth(3):
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.rfile.close()
            self.wfile.close()
            self.connection.close()
            self.close_connection = True
            return None, ""
        if FAULT == "one in three hangs" and self.is_nth(3):
            time.sleep(120)
        if FAULT == "one in two breaks off" and self.is_nth(2):
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b"the first of it")
            self.close_connection = True
            return None, ""
        if FAULT == "one in two chunked breaks off" and self.is_nth(2):
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"5\r\nfirst\r\n")
            self.close_connection = True
            return None, ""
        if FAULT == "not HTTP":
            self.wfile.write(b"<html>bare</html>\n")
            self.close_connection = True
            return None, ""
        if FAULT == "errors uncounted":
            data = b"broken"
            self.send_response(500)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)
            return None, ""
        if FAULT == "well for probes alone" and "X-SwiftDeploy-Probe" not in self.headers:
            return 500, "broken"
        if FAULT == "errors":
            print("the table orders is missing", flush=True)
            return 500, "broken"
        return 200, WHO

    def is_nth(self, number):
        global asked
        with lock:
            asked += 1
            return asked % number == 0

    def rate(self):
        now = time.monotonic()
        with lock:
            recent.append(now)
            while recent[0] < now - 1:
                recent.pop(0)
            return len(recent)

    def log_message(self, *words):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request, client):
        pass


Server((os.environ["APP_HOST"], int(os.environ["APP_PORT"])), Handler).serve_forever()
"""

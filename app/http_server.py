"""The HTTP server: connections, their limits, and the framing of requests and answers.

Every wait has a limit. A body that is too large or has no clear end is refused.
"""

from __future__ import annotations

import contextlib
import io
import socket
import socketserver
import threading
import time
from collections import deque
from dataclasses import dataclass
from email.message import Message
from email.utils import formatdate
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import Any, NoReturn
from urllib.parse import urlsplit

from service import MAX_BODY, MAX_HELD, Answer, Request, Service, Unread

MAX_LINE = 64 * 1024
# Refused connections that wait for their client to read the refusal; the oldest goes first.
MAX_LEAVING = 128


@dataclass(frozen=True)
class Limits:
    """Connections served at once, and seconds: between requests, for a whole request, to send an answer, and
    for the rest of a refused request to arrive."""

    connections: int = MAX_HELD + 128
    idle: float = 75
    request: float = 10
    send: float = 10
    leave: float = 2


DEFAULTS = Limits()


class _RefusedError(Exception):
    """What arrived cannot be read as a request."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.unread = Unread(status, reason)


class Deadlined(io.RawIOBase):
    """The bytes that a connection receives, until a moment (monotonic) that is set from outside."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self.deadline = 0.0

    def readable(self) -> bool:
        """Return True: io asks for it."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Bytes put into `buffer`, 0 at the end of the input; TimeoutError past the deadline."""
        remaining = self.deadline - time.monotonic()
        if remaining <= 0:
            raise TimeoutError("the deadline has passed")
        self._connection.settimeout(remaining)
        return self._connection.recv_into(buffer)


class Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    """One thread a connection, bounded; what is past the bound is answered 503 and closed."""

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 1024

    def __init__(self, address: tuple[str, int], service: Service, limits: Limits = DEFAULTS) -> None:
        self.service = service
        self.limits = limits
        self.stopping = threading.Event()
        self._changed = threading.Condition()
        self._idle: dict[socket.socket, bool] = {}
        self._leaving: deque[tuple[float, socket.socket]] = deque()
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, Connection)

    def stop(self, grace: float) -> None:
        """Stop accepting, end idle connections, and wait at most `grace` seconds for what is in flight."""
        self.stopping.set()
        self.service.end_delays()
        self.shutdown()
        self._serve_backlog()
        self.server_close()
        with self._changed:
            for connection, idle in self._idle.items():
                if idle:
                    _end_input(connection)
            self._changed.wait_for(lambda: not self._idle, grace)
        for _, connection in self._leaving:
            connection.close()

    def note_idle(self, connection: socket.socket) -> None:
        """Note that nothing is asked on this connection; while stopping, what has arrived is still read."""
        with self._changed:
            self._idle[connection] = True
            if self.stopping.is_set():
                _end_input(connection)

    def note_busy(self, connection: socket.socket) -> None:
        """Note that a request has begun."""
        with self._changed:
            self._idle[connection] = False

    def process_request(self, request: Any, client_address: Any) -> None:
        """Give an accepted connection a thread, or turn it away."""
        with self._changed:
            admitted = len(self._idle) < self.limits.connections
            if admitted:
                self._idle[request] = False
        if not admitted:
            self._turn_away(request)
            return
        try:
            super().process_request(request, client_address)
        except RuntimeError:  # the system gives no more threads
            self._forget(request)
            self._turn_away(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve one connection to its end."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._forget(request)

    def service_actions(self) -> None:
        """Close the connections that were turned away and have had their time; called in every poll."""
        now = time.monotonic()
        while self._leaving and (self._leaving[0][0] <= now or len(self._leaving) > MAX_LEAVING):
            connection = self._leaving.popleft()[1]
            with contextlib.suppress(OSError):
                connection.recv(MAX_LINE)
            connection.close()

    def _forget(self, connection: socket.socket) -> None:
        with self._changed:
            del self._idle[connection]
            self._changed.notify_all()

    def _turn_away(self, connection: socket.socket) -> None:
        answer = self.service.refuse(Unread(503, f"more than {self.limits.connections} connections are open"))
        connection.setblocking(False)
        with contextlib.suppress(OSError):
            connection.send(_wire(answer, connection_header="close"))
            connection.shutdown(socket.SHUT_WR)
        # Closed at once, the unread request would make the kernel reset the connection and lose the answer.
        self._leaving.append((time.monotonic() + self.limits.leave, connection))

    def _serve_backlog(self) -> None:
        self.socket.setblocking(False)
        with contextlib.suppress(OSError):
            while True:
                self.process_request(*self.get_request())


class Connection(BaseHTTPRequestHandler):
    """One kept connection: requests in, answers out, one after the other."""

    server: Server
    protocol_version = "HTTP/1.1"

    def setup(self) -> None:
        """Read through deadlines, and write at once."""
        self.connection: socket.socket = self.request
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, True)
        self._input = Deadlined(self.connection)
        self._reader = io.BufferedReader(self._input)
        self.rfile = self._reader
        self._expects_continue = False

    def finish(self) -> None:
        """Let go of the input; the server closes the connection."""
        self._reader.close()

    def handle(self) -> None:
        """Answer requests until one side ends the connection."""
        # A client that goes away, at whatever moment, is no event here.
        with contextlib.suppress(OSError):
            super().handle()

    def handle_one_request(self) -> None:
        """Wait for a request, read it wholly, answer it."""
        if not self._next_request():
            self.close_connection = True
            return
        try:
            request = self._read_request()
        except _RefusedError as refused:
            self._refuse(refused.unread)
            return
        except TimeoutError:
            seconds = self.server.limits.request
            self._refuse(Unread(408, f"the request was not whole within {seconds:g} seconds"))
            return
        self._send(self.server.service.answer(request))
        if request.unread is not None:
            self._leave()

    def handle_expect_100(self) -> bool:
        """Only note it: a body that is refused is not asked for."""
        self._expects_continue = True
        return True

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> NoReturn:
        """Raise what the parser could not read, instead of answering it in HTML."""
        raise _RefusedError(code, message or HTTPStatus(code).phrase)

    def _next_request(self) -> bool:
        self.server.note_idle(self.connection)
        self._input.deadline = time.monotonic() + self.server.limits.idle
        try:
            arrived = bool(self._reader.peek(1))
        except TimeoutError:
            return False
        self.server.note_busy(self.connection)
        self._input.deadline = time.monotonic() + self.server.limits.request
        return arrived

    def _read_request(self) -> Request:
        self.command, self._expects_continue = "", False
        self.raw_requestline = self._reader.readline(MAX_LINE + 1)
        if len(self.raw_requestline) > MAX_LINE:
            raise _RefusedError(414, "the request line is too long")
        if not self.parse_request() or self.request_version == "HTTP/0.9":
            raise _RefusedError(400, "the request line is not one of HTTP/1.0 or HTTP/1.1")
        path = _path(self.path)
        length = _body_length(self.headers)
        if isinstance(length, Unread):
            self.close_connection = True
            return Request(self.command, path, unread=length)
        return Request(self.command, path, self._read_body(length))

    def _read_body(self, length: int) -> bytes:
        if length and self._expects_continue:
            self._write(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = self._reader.read(length)
        if len(body) < length:
            raise _RefusedError(400, "the body ended before its Content-Length")
        return body

    def _refuse(self, unread: Unread) -> None:
        self.close_connection = True
        self._send(self.server.service.refuse(unread, method=self.command or ""))
        self._leave()

    def _send(self, answer: Answer) -> None:
        if self.server.stopping.is_set():
            self.close_connection = True
        header = "close" if self.close_connection else None
        if header is None and self.request_version == "HTTP/1.0":
            header = "keep-alive"
        self._write(_wire(answer, bare=self.command == "HEAD", connection_header=header))

    def _write(self, data: bytes) -> None:
        self.connection.settimeout(self.server.limits.send)
        self.connection.sendall(data)

    def _leave(self) -> None:
        """Take what is still sent, for a while: unread, it would make the kernel reset the connection."""
        self.connection.shutdown(socket.SHUT_WR)
        self._input.deadline = time.monotonic() + self.server.limits.leave
        while self._reader.read1(MAX_BODY):
            pass


def _end_input(connection: socket.socket) -> None:
    """Wake its reader: what has arrived is still read, then comes the end."""
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RD)


def _wire(answer: Answer, *, bare: bool = False, connection_header: str | None = None) -> bytes:
    """The bytes of an answer, without its body when `bare`."""
    lines = [
        f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}",
        f"Date: {formatdate(usegmt=True)}",
        f"Content-Type: {answer.content_type}",
        f"Content-Length: {len(answer.body)}",
    ]
    lines += [f"{name}: {value}" for name, value in answer.headers]
    if connection_header is not None:
        lines.append(f"Connection: {connection_header}")
    head = "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"
    return head if bare else head + answer.body


def _path(target: str) -> str:
    try:
        return urlsplit(target).path or "/"
    except ValueError:
        raise _RefusedError(400, "the request target is not a path or URL") from None


def _body_length(headers: Message) -> int | Unread:
    """Bytes of the body, or why it will not be read; refused where its end is not clear."""
    if headers.defects:
        raise _RefusedError(400, "a header line is malformed")
    if "Transfer-Encoding" in headers:
        return Unread(411, "a body needs a Content-Length")
    lengths = set(headers.get_all("Content-Length", ["0"]))
    text = lengths.pop()
    if lengths or not (text.isascii() and text.isdigit()):
        raise _RefusedError(400, "Content-Length must be one whole number")
    digits = text.lstrip("0") or "0"
    if len(digits) > len(str(MAX_BODY)) or int(digits) > MAX_BODY:
        return Unread(413, f"the body is larger than {MAX_BODY} bytes")
    return int(digits)

"""HTTP requests to nginx and the slots, as a client sends them.

Each request is bounded in time and size; no answer is a `Reply` without a status.
"""

from __future__ import annotations

import json
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException, RemoteDisconnected
from typing import Any

from swiftdeploy_tasks.manifest.model import Health
from swiftdeploy_tasks.model.release import SLOTS, Slot
from swiftdeploy_tasks.model.state import Traffic

HOST = "127.0.0.1"
PROBE = "X-SwiftDeploy-Probe"
# On the operator port: the Host that the app sees. nginx.conf has it in lower case.
ASKED_HOST = "X-SwiftDeploy-Host"
SECONDS = 2.0
# nginx itself answers at once, but for a host that is busy.
NGINX_SECONDS = 5.0
# How long one answer of an app that was measured to be slow is waited for.
LONGEST = 30.0
MAX_BODY = 1 << 20
_GENERATION = re.compile(r"blue=(\d+),green=(\d+),backup=(\w*),config=(\w*),id=(\w+)(?:,counted=(1))?")


@dataclass(frozen=True)
class Reply:
    """One answer, after `seconds`: `status` is None when there was none, and `error` then says why.

    The names of `headers` are in the form `Content-Type`. `host` is the Host that was sent, and `late` says
    that the answer was not whole in time.
    """

    status: int | None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    error: str = ""
    seconds: float = 0.0
    host: str = ""
    late: bool = False

    @property
    def said(self) -> Mapping[str, Any]:
        """The body as a JSON object, empty when it is none."""
        try:
            value = json.loads(self.body)
        except (ValueError, RecursionError):
            return {}
        return value if isinstance(value, dict) else {}


@dataclass
class Pace:
    """How long to wait for an answer of one app: several times as long as its slowest answer took."""

    timeout: float = SECONDS

    def of(self, reply: Reply) -> Reply:
        """Take a reply's time into account, and return the reply."""
        wanted = 2 * self.timeout if reply.late else 4 * reply.seconds
        self.timeout = min(max(self.timeout, wanted), LONGEST)
        return reply


@dataclass(frozen=True)
class Generation:
    """What nginx says that it has loaded."""

    traffic: Traffic
    config: str
    id: str

    @property
    def text(self) -> str:
        """The form in which nginx carries it."""
        blue, green = (self.traffic.of(slot) for slot in SLOTS)
        backup = self.traffic.backup or ""
        counted = ",counted=1" if self.traffic.counted else ""
        return f"blue={blue},green={green},backup={backup},config={self.config},id={self.id}{counted}"


def ask(
    port: int,
    path: str,
    *,
    timeout: float = SECONDS,
    method: str = "GET",
    host: str = HOST,
    headers: Mapping[str, str] | None = None,
    limit: int = MAX_BODY,
) -> Reply:
    """Ask this host's `port`; a refused, reset, late or too large answer is a Reply without a status.

    `host` is another address that this host alone can reach: a container's. `timeout` is for the whole
    answer, however slowly its bytes come. The header PROBE marks our requests: nginx accepts only the id
    of its own generation as its value.
    """
    began = time.monotonic()
    connection = HTTPConnection(host, port, timeout=timeout)
    sent = {PROBE: "1", "Accept": "*/*", "Connection": "close", **(headers or {})}
    error, late, status, body = "", False, None, b""
    given: dict[str, str] = {}
    try:
        connection.connect()
        with _cut_off(connection.sock, began + timeout):
            connection.request(method, path, headers=sent)
            answer = connection.getresponse()
            body = answer.read(limit + 1)
        status, given = answer.status, {name.title(): value for name, value in answer.getheaders()}
        if len(body) > limit:
            error = f"the answer is larger than {limit} bytes"
        elif answer.length:
            error = "the connection was closed before the answer was whole"
    except (OSError, HTTPException) as problem:
        error = _plain(problem)
        late = isinstance(problem, TimeoutError)
    finally:
        connection.close()
    seconds = time.monotonic() - began
    if late or seconds >= timeout:
        return Reply(None, error=f"no answer in time ({timeout:.3g} s)", seconds=seconds, late=True)
    if error:
        return Reply(None, error=error, seconds=seconds)
    named = sent.get(ASKED_HOST) or sent.get("Host") or f"{host}:{port}"
    return Reply(status, given, body, "", seconds, named)


@contextmanager
def _cut_off(connected: socket.socket, deadline: float) -> Iterator[None]:
    """End the connection at the deadline: a socket's own time-out begins again with every byte."""

    def cut() -> None:
        with suppress(OSError):
            connected.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(max(0.0, deadline - time.monotonic()), cut)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def generation(operator_port: int) -> Generation | None:
    """Return what nginx has loaded, None when it does not answer or is not ours."""
    reply = ask(operator_port, "/generation", timeout=NGINX_SECONDS)
    return generation_in(reply.body.decode("ascii", "replace")) if reply.status == 200 else None


def generation_in(text: str) -> Generation | None:
    """Return the generation that a text names, such as upstream.conf; None where it names none."""
    found = _GENERATION.search(text)
    if found is None:
        return None
    weights: dict[Slot, int] = {
        slot: int(share) for slot, share in zip(SLOTS, found.groups()[:2], strict=True)
    }
    backup = next((slot for slot in SLOTS if slot == found[3]), None)
    shares = {slot: share for slot, share in weights.items() if share}
    return Generation(Traffic(shares, backup, counted=bool(found[6])), found[4], found[5])


def ask_slot(
    operator_port: int,
    slot: Slot,
    path: str,
    *,
    name: str | None,
    timeout: float = SECONDS,
    limit: int = MAX_BODY,
) -> Reply:
    """Ask a path of a slot through the operator port; the app sees `name` as the Host."""
    headers = {ASKED_HOST: name} if name else {}
    return ask(operator_port, f"/slots/{slot}{path}", timeout=timeout, headers=headers, limit=limit)


def health(operator_port: int, slot: Slot, health: Health, *, timeout: float = SECONDS) -> Reply:
    """Ask a slot's health path through the operator port."""
    return ask_slot(operator_port, slot, health.path, name=health.host, timeout=timeout)


def until(condition: Callable[[], bool], *, seconds: float, every: float = 0.05) -> bool:
    """Wait for the condition, asked every `every` seconds; False when `seconds` have passed without it."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() >= deadline:
            return False
        time.sleep(min(every, max(0.0, deadline - time.monotonic())))
    return True


def _plain(error: Exception) -> str:
    text = str(error)
    for sign, words in (
        ("refused", "nothing listens"),
        ("reset", "the connection was reset"),
    ):
        if sign in text and isinstance(error, OSError):
            return words
    if isinstance(error, RemoteDisconnected):
        return "the connection was closed without an answer"
    return f"it does not answer in HTTP: {text[:80]!a}"

"""The answers: a pure function from a request to a response, and the faults that `/chaos` injects.

No fault affects `/healthz`, `/metrics` or `/chaos`. An invalid order to `/chaos` changes nothing.
"""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NoReturn

import telemetry

MAX_BODY = 64 * 1024
MAX_DELAY = 300
# Fewer than the connections that are served, so that a delay leaves threads to the health checks.
MAX_HELD = 512

READ = ("GET", "HEAD")
ALLOWED: Mapping[str, tuple[str, ...]] = {"/": READ, "/healthz": READ, "/metrics": READ, "/chaos": ("POST",)}
UNHURT = frozenset(("/healthz", "/metrics", "/chaos"))
METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"))
OTHER = "other"


@dataclass(frozen=True)
class Answer:
    """What goes back, whole; `headers` are those that only this answer has."""

    status: int
    body: bytes
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Unread:
    """Why the body of a request was not read."""

    status: int
    reason: str


@dataclass(frozen=True)
class Request:
    """A request as it was read; `body` is empty where `unread` says why."""

    method: str
    path: str
    body: bytes = b""
    unread: Unread | None = None


@dataclass(frozen=True)
class Fault:
    """The chaos in force: `recover` (none), `slow` with seconds, `error` with a rate from 0 to 1."""

    mode: str = "recover"
    amount: float = 0

    def document(self) -> Mapping[str, object]:
        """What POST /chaos answers when this is in force."""
        if self.mode == "recover":
            return {"status": "recovered", "mode": self.mode}
        return {"status": "active", "mode": self.mode, FIELDS[self.mode]: self.amount}


FIELDS = {"slow": "duration", "error": "rate"}
GAUGES = {"recover": 0, "slow": 1, "error": 2}


class BadOrderError(ValueError):
    """A chaos order that cannot be followed; its text is one sentence."""


def read_order(body: bytes) -> Fault:
    """The fault that the body of POST /chaos asks for; BadOrderError says what is wrong with it."""
    try:
        order = json.loads(body, parse_constant=_not_json)
    except (ValueError, RecursionError):
        raise BadOrderError("the body is not valid JSON") from None
    if not isinstance(order, dict):
        raise BadOrderError("the body must be a JSON object")
    mode = order.get("mode")
    if mode == "recover":
        return Fault()
    if mode == "slow":
        duration = _number(order, "duration")
        if not 0 < duration <= MAX_DELAY:
            raise BadOrderError(f"duration must be above 0 and at most {MAX_DELAY} seconds")
        return Fault("slow", duration)
    if mode == "error":
        rate = _number(order, "rate")
        if not 0 <= rate <= 1:
            raise BadOrderError("rate must be from 0 to 1")
        return Fault("error", rate)
    raise BadOrderError("mode must be slow, error or recover")


def _not_json(constant: str) -> NoReturn:
    raise ValueError(constant)


def _number(order: Mapping[str, object], name: str) -> float:
    value = order.get(name)
    # A boolean is an int to Python, and not a number to JSON.
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise BadOrderError(f"{name} must be a number")
    return value


class Chaos:
    """The fault in force and the answers that it holds back; safe to use from any thread."""

    def __init__(self, *, max_held: int) -> None:
        self._changed = threading.Condition()
        self._fault = Fault()
        self._held = 0
        self._max_held = max_held
        self._ended = False

    def current(self) -> Fault:
        """The fault in force."""
        with self._changed:
            return self._fault

    def replace(self, fault: Fault) -> None:
        """Put a fault in force in place of the former; answers that are held obey it too."""
        with self._changed:
            self._fault = fault
            self._changed.notify_all()

    def end_delays(self) -> None:
        """Let every held answer go, and hold none from now on."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def hold(self) -> bool:
        """Wait as long as the fault in force, also a later one, asks; False at once when too many wait."""
        started = time.monotonic()
        with self._changed:
            if self._remaining(started) > 0 and self._held >= self._max_held:
                return False
            self._held += 1
            while (remaining := self._remaining(started)) > 0:
                self._changed.wait(remaining)
            self._held -= 1
        return True

    def _remaining(self, started: float) -> float:
        if self._ended or self._fault.mode != "slow":
            return 0
        return started + self._fault.amount - time.monotonic()


class Service:
    """The app that ships: answers requests, counts them, and in canary mode does harm on request."""

    def __init__(self, *, mode: str, version: str, max_held: int = MAX_HELD) -> None:
        self._mode = mode
        self._version = version
        self._started = time.monotonic()
        self._telemetry = telemetry.Telemetry()
        self._chaos = Chaos(max_held=max_held)

    def answer(self, request: Request) -> Answer:
        """The answer, counted; takes as long as chaos asks."""
        return self._counted(request.method, request.path, request)

    def refuse(self, unread: Unread, *, method: str = OTHER) -> Answer:
        """The answer to something that could not be read as a request."""
        return self._counted(method, OTHER, unread)

    def end_delays(self) -> None:
        """Let every held answer go, and hold none from now on."""
        self._chaos.end_delays()

    def _counted(self, method: str, path: str, what: Request | Unread) -> Answer:
        started = time.monotonic()
        self._telemetry.begin()
        status = 500
        try:
            answer = self._error(what.status, what.reason) if isinstance(what, Unread) else self._route(what)
            status = answer.status
        finally:
            self._telemetry.end(
                method if method in METHODS else OTHER,
                path if path in ALLOWED else OTHER,
                status,
                time.monotonic() - started,
            )
        return answer

    def _route(self, request: Request) -> Answer:
        harm = None if request.path in UNHURT else self._harm()
        if harm is not None:
            return harm
        allowed = ALLOWED.get(request.path)
        if allowed is None:
            return self._error(404, "there is nothing at this path")
        if request.method not in allowed:
            methods = ", ".join(allowed)
            return self._error(405, f"this path takes {methods} only", ("Allow", methods))
        if request.path == "/chaos":
            return self._order(request)
        if request.unread is not None:
            return self._error(request.unread.status, request.unread.reason)
        return {"/": self._welcome, "/healthz": self._health, "/metrics": self._metrics}[request.path]()

    def _harm(self) -> Answer | None:
        fault = self._chaos.current()
        if fault.mode == "slow" and not self._chaos.hold():
            return self._error(503, "too many answers are being held back by chaos")
        if fault.mode == "error" and random.random() < fault.amount:  # noqa: S311
            return self._error(500, "this error was asked for through /chaos")
        return None

    def _welcome(self) -> Answer:
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        message = f"Welcome to SwiftDeploy, {self._mode} {self._version}"
        return self._json(
            200, {"message": message, "mode": self._mode, "version": self._version, "timestamp": now}
        )

    def _health(self) -> Answer:
        document = {"status": "ok", "mode": self._mode, "version": self._version}
        return self._json(200, {**document, "uptime_seconds": round(self._uptime(), 3)})

    def _metrics(self) -> Answer:
        text = telemetry.exposition(
            self._telemetry.snapshot(),
            uptime=self._uptime(),
            mode=int(self._mode == "canary"),
            chaos=GAUGES[self._chaos.current().mode],
        )
        return Answer(200, text.encode(), telemetry.CONTENT_TYPE, self._mode_header())

    def _order(self, request: Request) -> Answer:
        if self._mode != "canary":
            return self._error(403, "chaos works in canary mode only")
        if request.unread is not None:
            return self._error(request.unread.status, request.unread.reason)
        try:
            fault = read_order(request.body)
        except BadOrderError as problem:
            return self._error(400, str(problem))
        self._chaos.replace(fault)
        return self._json(200, fault.document())

    def _uptime(self) -> float:
        return time.monotonic() - self._started

    def _error(self, status: int, reason: str, *headers: tuple[str, str]) -> Answer:
        return self._json(status, {"error": reason, "code": status}, *headers)

    def _json(self, status: int, document: Mapping[str, object], *headers: tuple[str, str]) -> Answer:
        body = json.dumps(document).encode() + b"\n"
        return Answer(status, body, headers=headers + self._mode_header())

    def _mode_header(self) -> tuple[tuple[str, str], ...]:
        return (("X-Mode", "canary"),) if self._mode == "canary" else ()

"""What do nginx and the slots answer, asked as a client would?

Stands apart so that health, generation and the public answer are read in one way on every engine. One
request a question, bounded in time and size; no answer is an answer here (a `Reply` without a status), and
what to make of it is not for this room.
"""

from __future__ import annotations

import functools
import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from swiftdeploy_tasks.release import SLOTS, Slot, Traffic

if TYPE_CHECKING:
    from requests import Session

HOST = "127.0.0.1"
PROBE = "X-SwiftDeploy-Probe"
_MAX_BODY = 1 << 20
_GENERATION = re.compile(r"blue=(\d+),green=(\d+),backup=(\w*),config=(\w*),id=(\w+)(?:,counted=(1))?")


@dataclass(frozen=True)
class Reply:
    """One answer: `status` is None when there was none, and `error` then says why."""

    status: int | None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    error: str = ""

    @property
    def said(self) -> Mapping[str, Any]:
        """The body as a JSON object, empty when it is none."""
        try:
            value = json.loads(self.body)
        except (ValueError, RecursionError):
            return {}
        return value if isinstance(value, dict) else {}


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
    port: int, path: str, *, timeout: float = 2.0, method: str = "GET", host: str = HOST, mark: str = "1"
) -> Reply:
    """Ask this host's `port`; a refused, reset or late answer is a Reply without a status.

    `host` is another address that this host alone can reach: a container's. `mark` is the value of the header
    PROBE, which tells our requests from those of clients: nginx accepts only the id of its own generation.
    """
    import requests

    deadline = time.monotonic() + timeout
    try:
        with _session().request(
            method,
            f"http://{host}:{port}{path}",
            headers={PROBE: mark},
            timeout=timeout,
            allow_redirects=False,
            stream=True,
        ) as answer:
            body = b""
            for chunk in answer.iter_content(65536):
                body += chunk
                if len(body) > _MAX_BODY:
                    return Reply(None, error=f"the answer is larger than {_MAX_BODY} bytes")
                if time.monotonic() > deadline:
                    return Reply(None, error=f"the answer was not whole after {timeout:g} s")
            return Reply(answer.status_code, dict(answer.headers), body)
    except (requests.RequestException, OSError) as error:
        return Reply(None, error=_plain(error))


def generation(operator_port: int) -> Generation | None:
    """Return what nginx has loaded, None when it does not answer or is not ours."""
    reply = ask(operator_port, "/generation")
    found = _GENERATION.match(reply.body.decode("ascii", "replace")) if reply.status == 200 else None
    if found is None:
        return None
    weights: dict[Slot, int] = {
        slot: int(share) for slot, share in zip(SLOTS, found.groups()[:2], strict=True)
    }
    backup = next((slot for slot in SLOTS if slot == found[3]), None)
    shares = {slot: share for slot, share in weights.items() if share}
    return Generation(Traffic(shares, backup, counted=bool(found[6])), found[4], found[5])


def health(operator_port: int, slot: Slot, path: str, *, timeout: float = 2.0) -> Reply:
    """Ask a slot's health path through the operator port."""
    return ask(operator_port, f"/slots/{slot}{path}", timeout=timeout)


def until(condition: Callable[[], bool], *, seconds: float, every: float = 0.05) -> bool:
    """Wait for the condition, asked every `every` seconds; False when `seconds` have passed without it."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() >= deadline:
            return False
        time.sleep(min(every, max(0.0, deadline - time.monotonic())))
    return True


@functools.cache
def _session() -> Session:
    import requests

    session = requests.Session()
    session.trust_env = False
    session.headers["Connection"] = "close"
    return session


def _plain(error: Exception) -> str:
    text = str(error)
    for sign, words in (
        ("refused", "nothing listens"),
        ("reset", "the connection was reset"),
        ("timed out", "no answer in time"),
        ("Remote end closed", "the connection was closed without an answer"),
    ):
        if sign in text:
            return words
    return f"it does not answer in HTTP: {text[:80]!a}"

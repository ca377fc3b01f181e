"""One request as the test wrote it, and the answer byte by byte: nothing is tidied on the way."""

from __future__ import annotations

import http.client
import json
import select
import socket
from dataclasses import dataclass
from typing import Any

HOST = "127.0.0.1"


@dataclass(frozen=True)
class Answer:
    """One answer; `headers` in order, doubles included."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def all(self, name: str) -> list[str]:
        """Every value of a header."""
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def json(self) -> dict[str, Any]:
        found = json.loads(self.body)
        assert isinstance(found, dict)
        return found


def ask(
    port: int,
    path: str,
    *,
    method: str = "GET",
    body: bytes | None = None,
    headers: dict[str, str] | None = None,
    timeout: float = 15.0,
) -> Answer:
    """Ask on a connection of its own; raises OSError or HTTPException when there is no answer."""
    connection = http.client.HTTPConnection(HOST, port, timeout=timeout)
    try:
        connection.request(method, path, body=body, headers={"Connection": "close", **(headers or {})})
        reply = connection.getresponse()
        return Answer(reply.status, tuple(reply.getheaders()), reply.read())
    finally:
        connection.close()


def status(port: int, path: str, **options: Any) -> int | None:
    """The status of the answer, None when there is none."""
    try:
        return ask(port, path, **options).status
    except (OSError, http.client.HTTPException):
        return None


def send(port: int, data: bytes, *, timeout: float = 15.0) -> Answer:
    """The answer to these very bytes."""
    with socket.create_connection((HOST, port), timeout=timeout) as wire:
        wire.sendall(data)
        reply = http.client.HTTPResponse(wire)
        reply.begin()
        return Answer(reply.status, tuple(reply.getheaders()), reply.read())


class Upgraded:
    """A connection that the app has upgraded; the app of `apps.SOCKETS` answers each line."""

    def __init__(self, port: int, path: str = "/ws", **headers: str) -> None:
        self.wire = socket.create_connection((HOST, port), timeout=15)
        sent = {"Host": "shop", "Connection": "Upgrade", "Upgrade": "websocket", **headers}
        lines = [f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in sent.items()), "", ""]
        self.wire.sendall("\r\n".join(lines).encode())
        self.file = self.wire.makefile("rb")
        self.status = int(self.file.readline().split()[1])
        while self.file.readline().strip():
            pass

    def say(self, line: str) -> str:
        """Return what the app answers to a line; "" where the connection has ended."""
        try:
            self.wire.sendall(line.encode() + b"\n")
            return self.file.readline().decode().rstrip()
        except ConnectionError:
            return ""

    def stays_open(self, seconds: float) -> bool:
        """Return whether the connection stays open and silent for so long."""
        return not select.select([self.wire], [], [], seconds)[0]

    def close(self) -> None:
        self.file.close()
        self.wire.close()

    def __enter__(self) -> Upgraded:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

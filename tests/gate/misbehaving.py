"""A server that does to its caller whatever a test wants, over a real socket."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

Behaviour = Callable[[socket.socket, threading.Event], None]


@contextmanager
def serving(behaviour: Behaviour) -> Iterator[str]:
    """Give the URL of a server that treats each connection so, until the block is left."""
    over = threading.Event()
    listener = socket.create_server(("127.0.0.1", 0))

    def treat(connection: socket.socket) -> None:
        with connection:
            try:
                _read_request(connection)
                behaviour(connection, over)
            except OSError:
                return

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=treat, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        over.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def answer(body: bytes | Any, *, status: str = "200 OK", headers: str = "") -> Behaviour:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()

    def behave(connection: socket.socket, over: threading.Event) -> None:
        head = f"HTTP/1.1 {status}\r\n{headers}Content-Length: {len(content)}\r\n\r\n"
        connection.sendall(head.encode() + content)

    return behave


def hang(connection: socket.socket, over: threading.Event) -> None:
    over.wait()


def reset(connection: socket.socket, over: threading.Event) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")


def drip(before: bytes, content: bytes) -> Behaviour:
    """`before` at once, then `content` at ten bytes a second."""

    def behave(connection: socket.socket, over: threading.Event) -> None:
        connection.sendall(before)
        for byte in content:
            if over.wait(0.1):
                return
            connection.sendall(bytes([byte]))

    return behave


def _read_request(connection: socket.socket) -> None:
    received = b""
    while b"\r\n\r\n" not in received:
        received += connection.recv(65536)
    head, _, body = received.partition(b"\r\n\r\n")
    (length,) = [
        int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")
    ]
    while len(body) < length:
        body += connection.recv(65536)

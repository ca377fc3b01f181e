"""Small HTTP servers on 127.0.0.1 whose answers a test chooses, byte by byte."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

Answer = Callable[[socket.socket, str], None]


@contextmanager
def serving(answer: Answer) -> Iterator[int]:
    """Serve on a free port, which is returned; `answer` gets each connection and what was asked."""
    listener = socket.create_server(("127.0.0.1", 0))

    def one(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            answer(connection, connection.recv(65536).decode("latin-1"))

    def all_of_them() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=one, args=[listener.accept()[0]], daemon=True).start()

    threading.Thread(target=all_of_them, daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def whole(status: str, body: bytes, *headers: str) -> bytes:
    """Return an HTTP answer."""
    lines = (f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", "")
    return "\r\n".join(lines).encode() + body

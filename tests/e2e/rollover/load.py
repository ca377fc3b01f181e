"""A short, steady load, and every request of it that was not answered as it should be.

Some connections are kept alive and some are new for each request; three in ten requests are POSTs. Nothing
is ever asked twice.
"""

from __future__ import annotations

import http.client
import threading
import time
from collections import Counter
from types import TracebackType

from tests.e2e.wire import HOST

KEPT, FRESH = 6, 2
PAUSE = (KEPT + FRESH) / 100
POSTS = (2, 5, 8)


class Load:
    """About 100 requests a second to `path` while the `with` block runs; read `failed` and `seen` after it.

    An answer of a status in `fine` is one; everything from 500 otherwise, and no whole answer, is a failure.
    `host` is the Host header in place of the address, `posts` says which of ten requests are POSTs.
    """

    def __init__(
        self,
        port: int,
        path: str = "/",
        *,
        fine: frozenset[int] = frozenset(),
        host: str = "",
        posts: tuple[int, ...] = POSTS,
    ) -> None:
        self.failed: list[str] = []
        self.seen: Counter[str] = Counter()
        self._port, self._path, self._fine = port, path, fine
        self._headers, self._posts = {"Host": host} if host else {}, posts
        self._over = threading.Event()
        self._threads = [
            threading.Thread(target=self._ask_on, args=(index, index < KEPT)) for index in range(KEPT + FRESH)
        ]

    @property
    def answered(self) -> int:
        return self.seen.total()

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _ask_on(self, index: int, kept: bool) -> None:
        connection = http.client.HTTPConnection(HOST, self._port, timeout=15)
        number, due = index, time.monotonic() + PAUSE * index / (KEPT + FRESH)
        while not self._over.wait(max(0.0, due - time.monotonic())):
            due = max(due + PAUSE, time.monotonic() - 1)
            number += 1
            self._ask(connection, "POST" if number % 10 in self._posts else "GET", kept)
        connection.close()

    def _ask(self, connection: http.client.HTTPConnection, method: str, kept: bool) -> None:
        began = time.monotonic()
        body = b'{"n": 1}' if method == "POST" else None
        headers = self._headers if kept else {**self._headers, "Connection": "close"}
        try:
            connection.request(method, self._path, body=body, headers=headers)
            reply = connection.getresponse()
            reply.read()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            took = time.monotonic() - began
            self.failed.append(f"{method} {'kept' if kept else 'fresh'} after {took:.2f} s: {error!r}")
            return
        if reply.status >= 500 and reply.status not in self._fine:
            self.failed.append(f"{method} {'kept' if kept else 'fresh'}: {reply.status}")
        self.seen[f"{reply.status} {reply.headers.get('X-Mode', '')}".strip()] += 1

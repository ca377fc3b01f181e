"""WebSockets that are always open, for measurements."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass, field

BEAT = 1.0
_REPLACE_EVERY = 1.0
_UPGRADE = b"GET /ws HTTP/1.1\r\nHost: shop\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"


@dataclass(eq=False)
class Socket:
    """An open socket to the release of `version`; `answered` is when (monotonic s) it answered last."""

    version: str
    writer: asyncio.StreamWriter
    answered: float


@dataclass
class Sockets:
    """Sockets to the app of `apps.SOCKETS`, each opened again where it ends.

    `closed` has the version and the time (unix s) of each that ended by itself, `refused` how many could not
    be opened.
    """

    port: int
    open: list[Socket] = field(default_factory=list)
    closed: list[tuple[str, float]] = field(default_factory=list)
    refused: int = 0

    def answering(self) -> int:
        """Return how many have answered one of the last two lines."""
        return sum(time.monotonic() - held.answered < 2.5 * BEAT for held in self.open)

    async def keep(self) -> None:
        """Keep one socket open."""
        while True:
            try:
                await self._hold()
            except (OSError, asyncio.IncompleteReadError):
                self.refused += 1
                await asyncio.sleep(0.1)

    async def _hold(self) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        with closing(writer):
            writer.write(_UPGRADE + b"who\n")
            head = await reader.readuntil(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 101 "):
                raise ConnectionRefusedError(head)
            version = (await reader.readuntil(b"\n")).split()[0].decode()
            held = Socket(version, writer, time.monotonic())
            self.open.append(held)
            with suppress(OSError):
                while await reader.readline():
                    held.answered = time.monotonic()
        if held in self.open:
            self.open.remove(held)
            self.closed.append((version, time.time()))

    async def beat(self) -> None:
        """Write a line to each socket every second."""
        while True:
            for held in self.open:
                held.writer.write(b"beat\n")
            await asyncio.sleep(BEAT)

    async def replace(self) -> None:
        """Close the oldest socket every second."""
        while True:
            await asyncio.sleep(_REPLACE_EVERY)
            if self.open:
                self.open.pop(0).writer.close()


@asynccontextmanager
async def held_open(port: int, many: int) -> AsyncIterator[Sockets]:
    """Keep so many sockets open while the block runs."""
    held = Sockets(port)
    tasks = [asyncio.ensure_future(held.keep()) for _ in range(many)]
    while len(held.open) < many:
        await asyncio.sleep(0.05)
    tasks += [asyncio.ensure_future(held.beat()), asyncio.ensure_future(held.replace())]
    try:
        yield held
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

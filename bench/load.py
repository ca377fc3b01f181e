"""A load generator that counts every failed request, as clients see them.

    python -m bench.load --port 8080 --rate 1000 --connections 64 --seconds 20

It uses raw sockets and no HTTP library, so that every refusal, reset and short body is seen where a library
would retry. Requests follow a schedule that the answers
cannot slow down; one that comes due while its connection is busy is sent late, and its wait is counted from
when it was due. It never retries, talks to 127.0.0.1 only, and is bounded in rate, connections and time.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import random
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from bench.tally import Tally, report

HOST = "127.0.0.1"
POSTS = 0.3
BODY = b'{"note": "a small body"}'
MOST = {"rate": 5000.0, "seconds": 900.0, "connections": 512.0}
MOST_BYTES = 1 << 20


@dataclass(frozen=True)
class Plan:
    """What is asked of `port`; raises ValueError where it is out of bounds.

    `rate` (requests/s) is shared by `kept` kept-alive connections and `fresh` lanes that open a connection
    for each request. Beside it, `idle` connections for each of `pauses` rest that many seconds after each
    answer. `timeout` (s) bounds one request, connecting included; what is due and was not sent as long
    after `seconds` is left unsent.
    """

    port: int
    rate: float = 1000.0
    seconds: float = 20.0
    kept: int = 64
    fresh: int = 0
    idle: int = 0
    pauses: tuple[float, ...] = (3.0, 7.0, 9.0, 11.0)
    path: str = "/"
    timeout: float = 10.0

    def __post_init__(self) -> None:
        asked = {"rate": self.rate, "seconds": self.seconds, "connections": float(self.connections)}
        for name, value in asked.items():
            if not 0 < value <= MOST[name]:
                raise ValueError(f"{name} is {value:g}, and must be above 0 and at most {MOST[name]:g}")

    @property
    def connections(self) -> int:
        return self.kept + self.fresh + self.idle * len(self.pauses)


class _FailedError(Exception):
    """What came instead of a good answer: one of tally.KINDS."""


class _Lane:
    """One connection at a time, and the requests that are sent on it one after the other."""

    def __init__(self, plan: Plan, tally: Tally, number: int, sort: str, pause: float = 0.0) -> None:
        self.rests = False
        self._plan, self._tally = plan, tally
        self._number, self._sort, self._pause = number, sort, pause
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        # The methods must not keep step with the round robin behind the proxy.
        self._chance = random.Random(number)

    async def run(self, stop: asyncio.Event) -> None:
        try:
            for due in self._dues():
                if stop.is_set():
                    break
                if time.monotonic() > self._end + self._plan.timeout:
                    self._tally.unsent += 1
                    continue
                await self._rest(due)
                await self._ask("POST" if self._chance.random() < POSTS else "GET", due)
        finally:
            self._close()

    def _dues(self) -> Iterator[float]:
        """Yield when each request of this lane is due (monotonic s)."""
        if self._pause:
            while (due := time.monotonic() + self._pause) < self._end:
                yield due
            return
        plan = self._plan
        for number in range(self._number, round(plan.rate * plan.seconds), plan.kept + plan.fresh):
            yield self._tally.began + number / plan.rate

    @property
    def _end(self) -> float:
        return self._tally.began + self._plan.seconds

    async def _rest(self, due: float) -> None:
        self.rests = True
        await asyncio.sleep(due - time.monotonic())
        self.rests = False

    async def _ask(self, method: str, due: float) -> None:
        try:
            async with asyncio.timeout(self._plan.timeout):
                mode = await self._answer(method)
        except (_FailedError, TimeoutError) as error:
            self._close()
            kind = "timeout" if isinstance(error, TimeoutError) else str(error)
            self._tally.note_failed(kind, method, self._sort, self._number)
        else:
            self._tally.note_good(due, method, mode)

    async def _answer(self, method: str) -> str:
        """Send one request and return the X-Mode of its whole answer; raises _FailedError."""
        reader, writer = await self._connection()
        try:
            writer.write(self._request(method))
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError as error:
            raise _FailedError("short" if error.partial else "reset") from None
        except asyncio.LimitOverrunError:
            raise _FailedError("short") from None
        except OSError:
            raise _FailedError("reset") from None
        status, headers = _parse(head)
        try:
            await reader.readexactly(_length(headers))
        except asyncio.IncompleteReadError:
            raise _FailedError("short") from None
        except OSError:
            raise _FailedError("reset") from None
        if self._sort == "fresh" or headers.get("connection", "").lower() == "close":
            self._close()
        if status >= 500:
            raise _FailedError("5xx")
        return headers.get("x-mode", "")

    async def _connection(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._streams and (self._streams[0].at_eof() or self._streams[0].exception()):
            self._tally.closed_idle += 1
            self._close()
        if self._streams is None:
            try:
                self._streams = await asyncio.open_connection(HOST, self._plan.port)
            except TimeoutError:
                raise
            except OSError:
                raise _FailedError("refused") from None
        return self._streams

    def _request(self, method: str) -> bytes:
        lines = [f"{method} {self._plan.path} HTTP/1.1", f"Host: {HOST}:{self._plan.port}"]
        if self._sort == "fresh":
            lines.append("Connection: close")
        body = BODY if method == "POST" else b""
        if body:
            lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + body

    def _close(self) -> None:
        if self._streams:
            self._streams[1].close()
        self._streams = None


def _parse(head: bytes) -> tuple[int, dict[str, str]]:
    first, *lines = head.decode("latin-1").split("\r\n")
    words = first.split(" ")
    if len(words) < 2 or not first.startswith("HTTP/1.") or not words[1].isdigit():
        raise _FailedError("short")
    pairs = (line.partition(":") for line in lines if line)
    return int(words[1]), {name.lower(): value.strip() for name, _, value in pairs}


def _length(headers: dict[str, str]) -> int:
    """Return how long the body is; an answer that does not say so looks like a cut one."""
    text = headers.get("content-length", "")
    if not text.isdigit() or int(text) > MOST_BYTES:
        raise _FailedError("short")
    return int(text)


class Load:
    """A plan that is carried out once, in an event loop of its own."""

    def __init__(self, plan: Plan) -> None:
        self.plan, self.tally = plan, Tally()
        self._begun = threading.Event()
        self._stop = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    def run(self) -> Tally:
        """Carry the plan out, to its end or until `stop`."""
        asyncio.run(self._run())
        return self.tally

    def stop(self) -> None:
        """End it, from another thread than `run`: requests on their way are still awaited."""
        self._begun.wait()
        assert self._loop
        with contextlib.suppress(RuntimeError):  # it has ended by itself
            self._loop.call_soon_threadsafe(self._stop.set)

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._begun.set()
        self.tally.begin()
        lanes = {asyncio.create_task(lane.run(self._stop)): lane for lane in self._lanes()}
        stopping = asyncio.create_task(self._stop.wait())
        running = set(lanes)
        while running and not stopping.done():
            _, pending = await asyncio.wait({*running, stopping}, return_when=asyncio.FIRST_COMPLETED)
            running &= pending
        for task in running:
            if lanes[task].rests:
                task.cancel()
        stopping.cancel()
        ended = await asyncio.gather(*lanes, return_exceptions=True)
        self.tally.end()
        for problem in ended:
            if isinstance(problem, Exception):
                raise problem

    def _lanes(self) -> Iterator[_Lane]:
        plan = self.plan
        sorts = [("kept", 0.0)] * plan.kept + [("fresh", 0.0)] * plan.fresh
        sorts += [("idle", pause) for pause in plan.pauses for _ in range(plan.idle)]
        for number, (sort, pause) in enumerate(sorts):
            yield _Lane(plan, self.tally, number, sort, pause)


@contextlib.contextmanager
def under_load(plan: Plan) -> Iterator[Load]:
    """Keep the load up while the block runs; its tally is whole afterwards."""
    load = Load(plan)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(load.run)
        try:
            yield load
        finally:
            load.stop()
            running.result()


def main() -> None:
    reader = argparse.ArgumentParser(prog="python -m bench.load", description="A steady load on 127.0.0.1.")
    reader.add_argument("--port", type=int, required=True)
    reader.add_argument("--rate", type=float, default=Plan.rate, help="requests a second")
    reader.add_argument("--connections", type=int, default=Plan.kept, help="kept-alive ones")
    reader.add_argument("--fresh", type=int, default=Plan.fresh, help="lanes with a connection per request")
    reader.add_argument("--idle", type=int, default=Plan.idle, help="connections for each of the pauses")
    reader.add_argument("--seconds", type=float, default=Plan.seconds)
    reader.add_argument("--path", default=Plan.path)
    reader.add_argument("--timeout", type=float, default=Plan.timeout, help="seconds for one request")
    asked = vars(reader.parse_args())
    try:
        plan = Plan(kept=asked.pop("connections"), **asked)
    except ValueError as error:
        reader.error(str(error))
    print(report(Load(plan).run()))


if __name__ == "__main__":
    main()

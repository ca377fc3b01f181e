"""How much a real nginx with our configuration takes: large headers, and many requests at once."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import resource
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from swiftdeploy_tasks.manifest.model import Manifest
from tests.e2e.wire import Answer, send
from tests.ports import free_ports
from tests.proxy import accepted
from tests.proxy.real_nginx import serving

AT_ONCE = 2000


@pytest.fixture
def shop() -> Manifest:
    public, operator = free_ports(2)
    return accepted(
        {
            "services": {"image": "shop:1", "port": 3000},
            "nginx": {"image": "nginx", "port": public, "operator_port": operator},
            "network": {"name": "net", "driver_type": "bridge"},
        }
    )


def with_cookie(port: int, size: int) -> Answer:
    lines = [b"GET / HTTP/1.1", b"Host: shop", b"Connection: close", b"Cookie: a=" + b"x" * size, b"", b""]
    return send(port, b"\r\n".join(lines))


def test_a_cookie_of_32_kb_reaches_the_app(tmp_path: Path, shop: Manifest) -> None:
    with serving(tmp_path, shop):
        assert with_cookie(shop.nginx.port, 9_000).status == 200
        assert with_cookie(shop.nginx.port, 32 * 1024).status == 200


def test_a_larger_header_is_refused_by_its_reason(tmp_path: Path, shop: Manifest) -> None:
    with serving(tmp_path, shop):
        answer = with_cookie(shop.nginx.port, 40_000)
    assert (answer.status, answer.all("X-Deployed-By")) == (431, ["swiftdeploy"])
    assert json.loads(answer.body)["error"].startswith("a header is longer than 36 KiB")


def test_a_path_that_is_too_long_is_refused_by_its_reason(tmp_path: Path, shop: Manifest) -> None:
    with serving(tmp_path, shop):
        line = b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n"
        answer = send(shop.nginx.port, line)
    assert (answer.status, answer.all("X-Deployed-By")) == (414, ["swiftdeploy"])
    assert "longer than 8 KiB" in json.loads(answer.body)["error"]


class _Gate:
    """An app that answers no request before so many are there."""

    def __init__(self, many: int, loop: asyncio.AbstractEventLoop) -> None:
        self.many = many
        self.loop = loop
        self.there = 0
        self.opened = asyncio.Event()

    def open(self) -> None:
        """Let all be answered; to be called from another thread."""
        self.loop.call_soon_threadsafe(self.opened.set)

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if b"GET /held" in head:
            self.there += 1
            if self.there >= self.many:
                self.opened.set()
            await self.opened.wait()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
        await writer.drain()
        writer.close()


@contextmanager
def gate(many: int) -> Iterator[tuple[_Gate, int]]:
    """Run the app in a thread; yields it and its port."""
    loop = asyncio.new_event_loop()
    held = _Gate(many, loop)
    server = loop.run_until_complete(asyncio.start_server(held.answer, "127.0.0.1", 0, backlog=4096))
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield held, server.sockets[0].getsockname()[1]
    finally:
        held.open()
        loop.call_soon_threadsafe(server.close)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _ask(port: int, path: str) -> tuple[int, str]:
    """The status of one request, 0 where the connection ended without one, and the head of the answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n".encode())
    try:
        head = (await reader.read()).decode("latin-1")
    except ConnectionError:
        head = ""
    writer.close()
    return int(head[9:12] or 0), head


async def _ask_at_once(port: int, many: int) -> list[int]:
    async with asyncio.timeout(60):
        return [code for code, _ in await asyncio.gather(*(_ask(port, "/held") for _ in range(many)))]


@pytest.fixture
def many_files() -> Iterator[None]:
    """Room for three sockets of each request: the client's, and both of the app and this test."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 8 * AT_ONCE
    if hard < wanted:
        pytest.skip(f"this user may open {hard} files, and {wanted} are needed")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.usefixtures("many_files")
def test_two_thousand_requests_that_wait_at_once_are_all_answered(tmp_path: Path, shop: Manifest) -> None:
    with gate(AT_ONCE) as (_, app_port), serving(tmp_path, shop, app_port=app_port):
        answers = asyncio.run(_ask_at_once(shop.nginx.port, AT_ONCE))
    assert answers == [200] * AT_ONCE


async def _one_too_many(port: int, held: _Gate) -> tuple[int, str]:
    async with asyncio.timeout(30):
        waiting = [asyncio.create_task(_ask(port, "/held")) for _ in range(3)]
        while held.there < 3:
            await asyncio.sleep(0.01)
        found = await _ask(port, "/")
        held.open()
        assert [code for code, _ in await asyncio.gather(*waiting)] == [200] * 3
        return found


def test_a_request_beyond_the_limit_gets_retry_after(tmp_path: Path, shop: Manifest) -> None:
    few = dataclasses.replace(shop, nginx=dataclasses.replace(shop.nginx, connections=3))
    with gate(4) as (held, app_port), serving(tmp_path, few, app_port=app_port):
        code, text = asyncio.run(_one_too_many(shop.nginx.port, held))
    assert code == 503
    assert "Retry-After: 1" in text
    assert "X-Deployed-By: swiftdeploy" in text
    assert "3 requests are in progress, which is the limit" in text


async def _beside_slow_clients(port: int, many: int) -> list[tuple[int, float]]:
    """The statuses and seconds of ordinary requests while many clients send their header byte by byte."""
    async with asyncio.timeout(60):
        slow = await asyncio.gather(*(asyncio.open_connection("127.0.0.1", port) for _ in range(many)))
        found = []
        for piece in (b"GET /slow HTTP/1.1\r\nX: ", *[b"x"] * 5):
            for _, writer in slow:
                writer.write(piece)
            began = asyncio.get_running_loop().time()
            code, _ = await _ask(port, "/")
            found.append((code, asyncio.get_running_loop().time() - began))
        assert not any(reader.at_eof() for reader, _ in slow)
        for _, writer in slow:
            writer.close()
        return found


@pytest.mark.usefixtures("many_files")
def test_two_thousand_slow_clients_do_not_keep_an_ordinary_one_from_its_answer(
    tmp_path: Path, shop: Manifest
) -> None:
    with gate(AT_ONCE) as (_, app_port), serving(tmp_path, shop, app_port=app_port):
        found = asyncio.run(_beside_slow_clients(shop.nginx.port, AT_ONCE))
    assert [code for code, _ in found] == [200] * 6
    assert max(seconds for _, seconds in found) < 1

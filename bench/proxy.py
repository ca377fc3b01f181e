"""How many clients does the rendered nginx hold, and is it as fast as one that was made by hand?

    python -m bench.proxy                    # the throughput needs wrk
    python -m bench.proxy --engine docker    # the clients alone

The app is an nginx too. The connections are held by this process, and every one that is reset or not answered
is counted. The throughput is measured on the local engine, so that both nginx are the same program beside the
same app. On docker the clients use an address of the host: those of 127.0.0.1 go through docker's own proxy.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from bench import static_app
from bench.stack import Stack, stack
from bench.table import Row, holds, machine, show
from swiftdeploy_tasks.engines.local.proxy_process import find_nginx
from tests.ports import free_ports

ENGINES = ("local", "docker")
CLIENTS = (64, 512)
LEAST_SHARE = 0.95
# Short, so that both nginx of a pair meet the same speed of the machine.
SLICE_SECONDS = 2
_REQUEST = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
_BY_HAND = """
daemon off; worker_processes auto; worker_rlimit_nofile 20000; pid nginx.pid; error_log stderr crit;
events { worker_connections 8192; }
http {
    log_format own '$time_iso8601 | $status | $request_time | $upstream_addr | $request';
    access_log access.log own; keepalive_requests 1000000;
    upstream app { server 127.0.0.1:%s; keepalive 128; }
    server {
        listen 127.0.0.1:%s backlog=4096;
        location / { proxy_http_version 1.1; proxy_set_header Connection ""; proxy_pass http://app; }
    }
}
"""


Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]
_CUT = (OSError, asyncio.IncompleteReadError)


@dataclass
class Held:
    """Connections that this process holds: how often they were answered, and how many were lost."""

    host: str
    port: int
    answered: int = 0
    lost: int = 0
    open: list[Connection] = field(default_factory=list)

    async def connect(self) -> Connection | None:
        """Open a connection and ask once on it; None where it is cut."""
        try:
            connection = await asyncio.open_connection(self.host, self.port)
            await self.ask(connection)
        except _CUT:
            self.lost += 1
            return None
        self.open.append(connection)
        return connection

    async def ask(self, connection: Connection) -> None:
        """Ask and read the answer; raises OSError or IncompleteReadError for a connection that is cut."""
        reader, writer = connection
        writer.write(_REQUEST)
        head = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: (\d+)", head)
        await reader.readexactly(int(length[1]) if length else 0)
        self.answered += head.startswith(b"HTTP/1.1 200 ")

    async def ask_on(self, until: float) -> None:
        """Ask again and again on a connection of its own."""
        connection = await self.connect()
        try:
            while connection and time.monotonic() < until:
                await self.ask(connection)
                await asyncio.sleep(0.5)
        except _CUT:
            self.lost += 1

    async def ask_once_more(self) -> None:
        """Ask on each connection that is still held."""
        for connection in self.open:
            try:
                await self.ask(connection)
            except _CUT:
                self.lost += 1


def main(
    engine: str = "local", *, idle: int = 10_000, busy: int = 2_000, seconds: float = 10.0, rounds: int = 20
) -> None:
    """Print what nginx holds, and on local its requests a second beside those of one made by hand."""
    print(machine())
    with stack(engine) as made:
        static_app.deploy(made)
        head = (f"clients held at once, {engine}", "", "bound", "")
        show(head, _held_rows(made, idle, busy, seconds))
        if engine == "local":
            show(("requests a second", "", "bound", ""), list(_throughput_rows(made, rounds)))
    print(f"\n{machine()}, when it ended")


def _held_rows(made: Stack, idle: int, busy: int, seconds: float) -> list[Row]:
    resting, working, memory = asyncio.run(_hold(made, idle, busy, seconds))
    lost = resting.lost + working.lost
    return [
        ("idle connections", f"{idle - resting.lost}", f"{idle}", holds(resting.lost == 0)),
        ("clients that ask meanwhile", f"{busy - working.lost}", f"{busy}", holds(working.lost == 0)),
        ("  their answers", f"{working.answered}", "", ""),
        ("connections lost", f"{lost}", "0", holds(lost == 0)),
        ("memory of nginx, MiB", f"{memory / 2**20:.0f}", "", ""),
    ]


async def _hold(made: Stack, idle: int, busy: int, seconds: float) -> tuple[Held, Held, int]:
    """Hold the idle clients while the busy ones ask, and ask once more on each idle one."""
    host = _host(made)
    resting, working = Held(host, made.port), Held(host, made.port)
    for begun in range(0, idle, 500):
        await asyncio.gather(*(resting.connect() for _ in range(min(500, idle - begun))))
    until = time.monotonic() + seconds
    await asyncio.gather(*(working.ask_on(until) for _ in range(busy)))
    memory = sum(process.memory_info().rss for process in made.nginx())
    await resting.ask_once_more()
    for _, writer in (*resting.open, *working.open):
        writer.transport.abort()
    return resting, working, memory


def _host(made: Stack) -> str:
    """Return the address at which clients reach nginx's port."""
    if made.engine == "local":
        return "127.0.0.1"
    form = "{{(index .IPAM.Config 0).Gateway}}"
    words = ["docker", "network", "inspect", "--format", form, made.manifest["network"]["name"]]
    return subprocess.check_output(words, text=True).strip()


def _throughput_rows(made: Stack, rounds: int) -> Iterator[Row]:
    if not shutil.which("wrk"):
        yield ("wrk is not here", "", "", "")
        return
    (port,) = free_ports(1)
    upstream = (made.place.root / ".swiftdeploy" / "nginx" / "upstream.conf").read_text(encoding="utf-8")
    app = next(int(found) for found in re.findall(r"server 127\.0\.0\.1:(\d+)", upstream) if found != "9")
    with _by_hand(made.logs, app, port):
        for clients in CLIENTS:
            ours, theirs = [], []
            for _ in range(rounds):
                ours.append(_wrk(made.port, clients))
                theirs.append(_wrk(port, clients))
            share = median(one / other for one, other in zip(ours, theirs, strict=True))
            said = f"{median(ours):.0f} / {median(theirs):.0f}"
            yield (f"{clients} clients, rendered / by hand", said, "", "")
            yield ("  median of the shares", f"{share:.2f}", f">= {LEAST_SHARE}", holds(share >= LEAST_SHARE))


@contextmanager
def _by_hand(folder: Path, app: int, port: int) -> Iterator[None]:
    (folder / "nginx.conf").write_text(_BY_HAND % (app, port), encoding="utf-8")
    words = [find_nginx(), "-p", f"{folder}/", "-e", "stderr", "-c", "nginx.conf"]
    with subprocess.Popen(words, stderr=subprocess.DEVNULL) as process:
        try:
            yield
        finally:
            process.terminate()


def _wrk(port: int, clients: int) -> float:
    """Return the requests a second; raises RuntimeError where one failed."""
    words = ["wrk", "-t2", f"-c{clients}", f"-d{SLICE_SECONDS}s", f"http://127.0.0.1:{port}/"]
    said = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    if "Socket errors" in said or "Non-2xx" in said:
        raise RuntimeError(said)
    found = re.search(r"Requests/sec:\s+([\d.]+)", said)
    assert found
    return float(found[1])


if __name__ == "__main__":
    reader = argparse.ArgumentParser(prog="python -m bench.proxy")
    reader.add_argument("--engine", choices=ENGINES, default="local")
    main(reader.parse_args().engine)

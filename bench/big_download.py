"""Measures a download of 1 GiB to a slow client: whether it is whole, and what nginx stores meanwhile.

    python -m bench.big_download

The client reads at a bounded speed, and the app could send much faster: what nginx took from it ahead of the
client would show in its memory or in a temporary file, also in one that is deleted while it is open.
"""

from __future__ import annotations

import argparse
import hashlib
import socket
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from bench.stack import Stack, memory_of, stack
from bench.table import Row, holds, machine, show
from tests.e2e import apps

ENGINES = ("local", "docker")
MEBIBYTES, SECONDS = 1024, 60.0
GROWN_MIB = 8.0
_READ = 1 << 18
_PATTERN = bytes(range(256)) * 4096


@dataclass
class Meanwhile:
    """The most that nginx had during the download: MiB of memory, and bytes in temporary files."""

    memory: float = 0.0
    files: int = 0
    done: threading.Event = field(default_factory=threading.Event)

    def watch(self, made: Stack) -> None:
        """Look twice a second until it is done."""
        while not self.done.wait(0.5):
            processes = made.nginx()
            self.memory = max(self.memory, memory_of(processes))
            self.files = max(self.files, sum(map(stored_by, processes)))


def stored_by(process: psutil.Process) -> int:
    """Return the bytes of the regular files that it has open, but for logs; deleted files count too."""
    size = 0
    for file in Path(f"/proc/{process.pid}/fd").iterdir():
        with suppress(OSError):
            if file.is_file() and file.readlink().suffix != ".log":
                size += file.stat().st_size
    return size


def main(engines: Iterable[str] = ENGINES, *, mebibytes: int = MEBIBYTES, seconds: float = SECONDS) -> None:
    """Deploy on each engine in turn, download once, and print what arrived and what nginx needed for it."""
    print(machine())
    for engine in engines:
        with stack(engine, services__metrics=None) as made:
            source = apps.FOREIGN.replace("PATTERN, 96", f"PATTERN, {mebibytes}")
            (made.place.root / "app" / "main.py").write_text(source, encoding="utf-8")
            made.run("deploy").ok()
            show((made.engine, "", "bound", ""), _rows(made, mebibytes, seconds))
    print(f"\n{machine()}, when it ended")


def _rows(made: Stack, mebibytes: int, seconds: float) -> list[Row]:
    before, meanwhile = memory_of(made.nginx()), Meanwhile()
    watcher = threading.Thread(target=meanwhile.watch, args=[made])
    watcher.start()
    began = time.monotonic()
    try:
        size, digest = _download(made.port, mebibytes, seconds)
    finally:
        meanwhile.done.set()
        watcher.join()
    took = time.monotonic() - began
    grown = meanwhile.memory - before
    is_whole = digest == _expected(mebibytes)
    return [
        ("MiB received", f"{size / 2**20:.1f}", f"{mebibytes}", holds(size == mebibytes * 2**20)),
        ("SHA-256 as sent", "yes" if is_whole else "no", "yes", holds(is_whole)),
        ("seconds", f"{took:.0f}", "", ""),
        ("memory of nginx before, MiB", f"{before:.1f}", "", ""),
        ("  most meanwhile", f"{meanwhile.memory:.1f}", "", ""),
        ("  grown by", f"{grown:.1f}", f"<= {GROWN_MIB:g}", holds(grown <= GROWN_MIB)),
        ("bytes in temporary files, most", f"{meanwhile.files}", "0", holds(meanwhile.files == 0)),
    ]


def _download(port: int, mebibytes: int, seconds: float) -> tuple[int, bytes]:
    """Read so fast that it takes so long; return the number of bytes and their SHA-256."""
    digest, size, began = hashlib.sha256(), 0, time.monotonic()
    speed = mebibytes * 2**20 / seconds
    with socket.socket() as wire:
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 17)
        wire.settimeout(30)
        wire.connect(("127.0.0.1", port))
        wire.sendall(b"GET /large HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n")
        with wire.makefile("rb") as answer:
            while answer.readline().strip():
                pass
            while chunk := answer.read(_READ):
                digest.update(chunk)
                size += len(chunk)
                time.sleep(max(0.0, began + size / speed - time.monotonic()))
    return size, digest.digest()


def _expected(mebibytes: int) -> bytes:
    digest = hashlib.sha256()
    for _ in range(mebibytes):
        digest.update(_PATTERN)
    return digest.digest()


if __name__ == "__main__":
    reader = argparse.ArgumentParser(prog="python -m bench.big_download")
    reader.add_argument("--engine", choices=ENGINES, help="one of the two; both without it")
    chosen = reader.parse_args().engine
    main([chosen] if chosen else ENGINES)

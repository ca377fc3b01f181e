"""The addresses on which a container listens, read from its network namespace."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from swiftdeploy_tasks.engines.docker.client import translated
from swiftdeploy_tasks.errors import EngineError

if TYPE_CHECKING:
    from docker.models.containers import Container

_TABLES = ("tcp", "tcp6")
_LISTEN = "0A"
# Docker's own name server in each container.
_RESOLVER = "127.0.0.11"


def listening(one: Container) -> frozenset[tuple[str, int]] | None:
    """Return the TCP addresses and ports, None where they cannot be seen."""
    text = _from_host(one) or _from_inside(one)
    return frozenset(_addresses(text.splitlines())) if text else None


def _from_host(one: Container) -> str:
    folder = Path(f"/proc/{one.attrs['State']['Pid'] or 'none'}")
    with suppress(OSError):
        # Where the engine has other pids than this host, the pid is another process.
        if str(one.id) in (folder / "cgroup").read_text(encoding="utf-8"):
            return "".join((folder / "net" / name).read_text(encoding="ascii") for name in _TABLES)
    return ""


def _from_inside(one: Container) -> str:
    with suppress(EngineError), translated(f"{one.name} cannot be looked into"):
        code, printed = one.exec_run(["cat", *(f"/proc/net/{name}" for name in _TABLES)], stderr=False)
        return printed.decode("ascii", "replace") if code == 0 and isinstance(printed, bytes) else ""
    return ""


def _addresses(lines: Iterable[str]) -> Iterable[tuple[str, int]]:
    for line in lines:
        fields = line.split()
        if len(fields) < 4 or fields[3] != _LISTEN:
            continue
        words, _, port = fields[1].partition(":")
        address = _address(bytes.fromhex(words))
        if address != _RESOLVER:
            yield address, int(port, 16)


def _address(raw: bytes) -> str:
    """Return the address of the kernel's bytes: words of 32 bits, each in this machine's order."""
    words = struct.unpack(f">{len(raw) // 4}I", raw)
    family = socket.AF_INET if len(raw) == 4 else socket.AF_INET6
    return socket.inet_ntop(family, struct.pack(f"={len(words)}I", *words))

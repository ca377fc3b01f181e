"""The pre-flight check `port`: the ports that the manifest wants are free, or ours."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable, Container

import psutil

from swiftdeploy_tasks.manifest.model import Manifest
from swiftdeploy_tasks.model.finding import Finding

_UNPRIVILEGED, _ABOVE_PRIVILEGED, _TRIED = 1024, 8080, 1000
# Names the holder of a port, "" where the engine does not know.
Holder = Callable[[int], str]


def check(manifest: Manifest, *, with_opa: bool, ours: frozenset[int], holder: Holder) -> Finding:
    """Check that nginx's ports, and OPA's where it runs, are free or among `ours`."""
    wanted = {
        "public": ("nginx.port", manifest.nginx.port),
        "operator": ("nginx.operator_port", manifest.nginx.operator_port),
    }
    if with_opa:
        wanted["OPA"] = ("opa.port", manifest.opa.port)
    taken = [
        (f"{what} port {port}: {why}", key, port)
        for what, (key, port) in wanted.items()
        if port not in ours and (why := _held(port, holder))
    ]
    if taken:
        used = {port for _, port in wanted.values()} | ours
        free: dict[str, int] = {}
        for _, key, port in taken:
            if found := _free(used | set(free.values()), port, holder):
                free[key] = found
        instead = ", ".join(f"{key}: {port}" for key, port in free.items())
        return Finding(
            "port",
            False,
            "; ".join(words for words, _, _ in taken),
            f"end what holds it, or set {instead or 'another port'} in manifest.yaml",
        )
    told = ", ".join(
        f"{what} {port}{' (ours)' if port in ours else ''}" for what, (_, port) in wanted.items()
    )
    return Finding("port", True, f"free or our own: {told}")


def _free(used: Container[int], near: int, holder: Holder) -> int:
    """Return the next port above `near` that can be listened on, 0 where none of the next is free."""
    first = near + 1 if near >= _UNPRIVILEGED else _ABOVE_PRIVILEGED
    ports = range(first, min(first + _TRIED, 65536))
    return next((port for port in ports if port not in used and not _held(port, holder)), 0)


def _held(port: int, holder: Holder) -> str:
    """Return why the port cannot be listened on, by IPv4 or IPv6, "" when it can."""
    for family, address in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):  # noqa: S104  (only tried)
        try:
            with socket.socket(family) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                probe.bind((address, port))
        except PermissionError:
            return "only root may listen below 1024 here"
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return f"held by {holder(port) or process_on(port) or 'another process'}"
    return ""


def process_on(port: int) -> str:
    """Return the name and pid of the process that listens on the port, "" where that is not known."""
    try:
        for connection in psutil.net_connections("tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr[1:] == (port,) and connection.pid:
                return f"{psutil.Process(connection.pid).name()} (pid {connection.pid})"
    except psutil.Error:
        pass
    return ""

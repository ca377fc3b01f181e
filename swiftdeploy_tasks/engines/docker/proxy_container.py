"""nginx in a container: its files tested and reloaded by exec, its workers listed by the engine's top.

The engine's kill call is not used for a reload: it disables the container's restart policy.
"""

from __future__ import annotations

import re
import socket
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from swiftdeploy_tasks.engines.docker import client as docker_client
from swiftdeploy_tasks.engines.docker import containers
from swiftdeploy_tasks.engines.docker.client import translated
from swiftdeploy_tasks.errors import ProxyError
from swiftdeploy_tasks.model import components
from swiftdeploy_tasks.proxy import publication
from swiftdeploy_tasks.proxy.nginx_check import first_complaint

if TYPE_CHECKING:
    from docker.models.containers import Container

_LINES = 20
# The sockets of the workers that shut down, and the kernel's table of all; the brackets keep this out of it.
_SOCKETS = """
for one in /proc/[0-9]*; do
    if grep -q 'shutting[ ]down' $one/cmdline 2>/dev/null; then readlink $one/fd/* 2>/dev/null; fi
done
cat /proc/net/tcp /proc/net/tcp6 2>/dev/null || true
"""
_ESTABLISHED = "01"


@dataclass(frozen=True)
class ContainerNginx:
    """See `publication.RunningNginx`: the nginx that carries this home."""

    home: str

    def test(self) -> None:
        """See `RunningNginx.test`."""
        candidate = f"{components.NGINX_MOUNT}/{publication.NEXT}/nginx.conf"
        self._call(["-t", "-q", "-c", candidate], "nginx refuses the configuration")

    def reload(self) -> None:
        """See `RunningNginx.reload`."""
        words = ["-s", "reload", "-c", f"{components.NGINX_MOUNT}/nginx.conf"]
        self._call(words, "nginx cannot be reloaded")

    def workers(self) -> Mapping[int, bool]:
        """See `RunningNginx.workers`: the pids are those of the host."""
        nginx = self._running()
        if nginx is None:
            return {}
        with translated("nginx's processes cannot be listed", kind=ProxyError):
            rows = nginx.top(ps_args="-eo pid,ppid,args")["Processes"] or []
        titles = {int(row[0]): " ".join(row[2:]) for row in rows}
        found = {pid: title for pid, title in titles.items() if title.startswith("nginx: worker process")}
        return {pid: "shutting down" in title for pid, title in found.items()}

    def operator_port(self) -> int:
        """See `RunningNginx.operator_port`."""
        nginx = self._running()
        return containers.loopback_port(nginx) if nginx else 0

    def log(self) -> tuple[str, ...]:
        """See `RunningNginx.log`."""
        nginx = self._part()
        with translated("the log of nginx cannot be read"):
            return tuple(docker_client.last_output(nginx, tail=_LINES).splitlines()) if nginx else ()

    def draining_connections(self, host: str, port: int) -> int | None:
        """Return how many connections to this address the leaving workers have, None for unknown."""
        nginx = self._running()
        with suppress(ProxyError), translated("nginx's connections cannot be listed", kind=ProxyError):
            code, said = nginx.exec_run(["sh", "-c", _SOCKETS]) if nginx else (1, b"")
            text = cast(bytes, said).decode("utf-8", "replace")
            return _count_established(text, host, port) if code == 0 else None
        return None

    def _call(self, words: Sequence[str], problem: str) -> None:
        """Call nginx inside its container; raises ProxyError, which begins with `problem`."""
        nginx = self._part()
        if nginx is None:
            raise ProxyError("nginx does not run any more", "invoke deploy")
        with translated(problem, kind=ProxyError):
            code, said = nginx.exec_run(["nginx", "-e", "/dev/stderr", *words])
        if code:
            text = cast(bytes, said).decode("utf-8", "replace")
            log = tuple(text.splitlines())
            raise ProxyError(f"{problem}: {first_complaint(text)}", "invoke validate", log=log)

    def _part(self) -> Container | None:
        return containers.one_part(self.home, components.NGINX)

    def _running(self) -> Container | None:
        nginx = self._part()
        return nginx if nginx and containers.runs(nginx) else None


def _count_established(said: str, host: str, port: int) -> int:
    """Count established connections to the IPv4 address and port in what `_SOCKETS` prints."""
    leaving = set(re.findall(r"^socket:\[(\d+)\]$", said, re.MULTILINE))
    rows = [line.split() for line in said.splitlines() if re.match(r"\s*\d+: ", line)]
    # /proc/net/tcp has an address as a number in this machine's byte order.
    remote = f"{int.from_bytes(socket.inet_aton(host), sys.byteorder):08X}:{port:04X}"
    own = [row for row in rows if len(row) > 9 and row[2] == remote]
    return sum(row[3] == _ESTABLISHED and row[9] in leaving for row in own)

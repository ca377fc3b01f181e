"""nginx in a container: its files tested and reloaded by exec, its workers listed by the engine's top.

The engine's kill call is not used for a reload: it disables the container's restart policy.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, cast

from swiftdeploy_tasks.engines.docker.client import translated
from swiftdeploy_tasks.errors import ProxyError
from swiftdeploy_tasks.model import components
from swiftdeploy_tasks.proxy.nginx_check import first_complaint

if TYPE_CHECKING:
    from docker.models.containers import Container

CONF = f"{components.NGINX_MOUNT}/nginx.conf"


# The sockets of the workers that shut down, and the kernel's table of all; the brackets keep this out of it.
_SOCKETS = """
for one in /proc/[0-9]*; do
    if grep -q 'shutting[ ]down' $one/cmdline 2>/dev/null; then readlink $one/fd/* 2>/dev/null; fi
done
cat /proc/net/tcp /proc/net/tcp6 2>/dev/null || true
"""
_ESTABLISHED = "01"


def run(nginx: Container | None, words: Sequence[str], problem: str) -> None:
    """Call nginx inside its container; raises ProxyError, which begins with `problem`."""
    if nginx is None:
        raise ProxyError("nginx does not run any more", "invoke deploy")
    with translated(problem, kind=ProxyError):
        code, said = nginx.exec_run(["nginx", "-e", "/dev/stderr", *words])
    if code:
        text = cast(bytes, said).decode("utf-8", "replace")
        log = tuple(text.splitlines())
        raise ProxyError(f"{problem}: {first_complaint(text)}", "invoke validate", log=log)


def workers(nginx: Container) -> dict[int, bool]:
    """Return the workers by their pid on the host; True where one is shutting down."""
    with translated("nginx's processes cannot be listed", kind=ProxyError):
        rows = nginx.top(ps_args="-eo pid,ppid,args")["Processes"] or []
    titles = {int(row[0]): " ".join(row[2:]) for row in rows}
    workers = {pid: title for pid, title in titles.items() if title.startswith("nginx: worker process")}
    return {pid: "shutting down" in title for pid, title in workers.items()}


def draining(nginx: Container, port: int) -> int | None:
    """Return how many clients of this port the leaving workers hold, None where it is not known."""
    with suppress(ProxyError), translated("nginx's connections cannot be listed", kind=ProxyError):
        code, said = nginx.exec_run(["sh", "-c", _SOCKETS])
        return _held(cast(bytes, said).decode("utf-8", "replace"), port) if code == 0 else None
    return None


def _held(said: str, port: int) -> int:
    """Count established connections of the port in what `_SOCKETS` prints."""
    leaving = set(re.findall(r"^socket:\[(\d+)\]$", said, re.MULTILINE))
    rows = [line.split() for line in said.splitlines() if re.match(r"\s*\d+: ", line)]
    own = [row for row in rows if len(row) > 9 and row[1].endswith(f":{port:04X}")]
    return sum(row[3] == _ESTABLISHED and row[9] in leaving for row in own)

"""The nginx of this project as a process, controlled for a publication."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from swiftdeploy_tasks.engines.local import proxy_process
from swiftdeploy_tasks.errors import ProxyError
from swiftdeploy_tasks.proxy import publication
from swiftdeploy_tasks.system import files

_LINES, _BYTES = 20, 1 << 18


@dataclass(frozen=True)
class OwnNginx:
    """See `publication.RunningNginx`: the master whose prefix is `folder`."""

    folder: Path
    log_file: Path

    def test(self) -> None:
        """See `RunningNginx.test`."""
        proxy_process.test(self.folder, self.folder / publication.NEXT / "nginx.conf")

    def reload(self) -> None:
        """See `RunningNginx.reload`."""
        proxy_process.reload(self._master())

    def workers(self) -> Mapping[int, bool]:
        """See `RunningNginx.workers`."""
        return proxy_process.workers(self._master())

    def operator_port(self) -> int:
        """See `RunningNginx.operator_port`."""
        master = proxy_process.master(self.folder)
        return proxy_process.facts(master)[1] if master else 0

    def log(self) -> tuple[str, ...]:
        """See `RunningNginx.log`."""
        return files.last_lines(self.log_file, _LINES, most=_BYTES)

    def draining_connections(self, port: int) -> int | None:
        """Return how many connections to this port the leaving workers have, None for unknown."""
        return proxy_process.draining_connections(self._master(), port)

    def _master(self) -> psutil.Process:
        master = proxy_process.master(self.folder)
        if master is None:
            raise ProxyError("nginx does not run any more", "invoke deploy", log=self.log())
        return master

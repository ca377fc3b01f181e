"""A terminal of its own for a verb that draws on one."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import threading
from pathlib import Path

from tests.e2e.project import COMMAND, until


class Terminal:
    """A verb on a terminal, and what it has drawn so far."""

    def __init__(self, root: Path, *words: str, **environment: str) -> None:
        ours, theirs = pty.openpty()
        size = {"TERM": "xterm", "COLUMNS": "100", "LINES": "40"}
        self.process = subprocess.Popen(
            [str(COMMAND), *words],
            cwd=root,
            env={**os.environ, **size, **environment},
            stdin=subprocess.DEVNULL,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        self.drawn = ""
        self._ours, self._is_closed = ours, False
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        while not self._is_closed:
            if select.select([self._ours], [], [], 0.1)[0]:
                try:
                    chunk = os.read(self._ours, 65536)
                except OSError:
                    return
                self.drawn += chunk.decode("utf-8", "replace")

    def shows(self, words: str) -> None:
        until(lambda: words in self.drawn, f"{words!r} in {self.drawn[-3000:]!r}")
        self.drawn = ""

    def end(self, signal_number: int = signal.SIGINT) -> int:
        self.process.send_signal(signal_number)
        code = self.process.wait(timeout=20)
        self.close()
        return code

    def close(self) -> None:
        """Close the terminal, once; the verb finds that out."""
        if self._is_closed:
            return
        self._is_closed = True
        self._reader.join(timeout=5)
        os.close(self._ours)

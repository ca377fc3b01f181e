"""A Docker Engine of one's own, which may be ended: in a network namespace, with its own socket and data.

It is reached by its socket from anywhere, and what it publishes only from within its namespace.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from tests.e2e.project import docker, until

SECONDS = 60.0


@dataclass
class Dockerd:
    """An engine whose files lie in `folder`, in the network namespace `name`."""

    folder: Path
    name: str

    @property
    def address(self) -> str:
        return f"unix://{self.folder}/docker.sock"

    @property
    def within(self) -> list[str]:
        """The words that run a command where what is published can be reached."""
        return ["nsenter", f"--net=/var/run/netns/{self.name}"]

    def start(self) -> None:
        """Start it, again where it gives up on what a killed one left, and wait until it answers."""
        child = self._launch()

        def is_up() -> bool:
            nonlocal child
            if child.poll() is not None:
                child = self._launch()
            return self.answers()

        try:
            until(is_up, "the engine answers", seconds=SECONDS)
        except AssertionError as error:
            lines = (self.folder / "log").read_text(errors="replace").splitlines()[-15:]
            raise AssertionError("\n".join([str(error), *lines])) from None

    def _launch(self) -> subprocess.Popen[bytes]:
        places = [f"--{kind}={self.folder / kind}" for kind in ("data-root", "exec-root", "pidfile")]
        words = ["exec", "dockerd", "-H", self.address, *places]
        own = f"mount --make-rprivate / && mount -t tmpfs tmpfs /run && {' '.join(words)}"
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(
                [*self.within, "unshare", "-m", "sh", "-c", own],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def answers(self) -> bool:
        return subprocess.run(["docker", "-H", self.address, "version"], capture_output=True).returncode == 0

    def end(self, number: signal.Signals) -> None:
        """End the engine's own process, and wait until it is gone."""
        process = psutil.Process(int((self.folder / "pidfile").read_text()))
        process.send_signal(number)
        until(lambda: not _lives(process), "the engine is gone", seconds=SECONDS)
        (self.folder / "pidfile").unlink(missing_ok=True)

    def cut_power(self) -> None:
        """End the engine and all that it runs at once, as a power cut does."""
        own = self._processes()
        inside = [child for process in own for child in process.children(recursive=True)]
        for process in {*own, *inside}:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        until(lambda: not any(map(_lives, [*own, *inside])), "all of it is gone", seconds=SECONDS)
        (self.folder / "pidfile").unlink(missing_ok=True)

    def _processes(self) -> list[psutil.Process]:
        """Return the engine's own processes: dockerd, containerd, and what holds each container."""
        sign = str(self.folder)
        found = psutil.process_iter(["cmdline"])
        return [each for each in found if any(sign in word for word in each.info["cmdline"] or [])]

    def remove(self) -> None:
        """End all that belongs to it, and remove its files and its namespace."""
        self.cut_power()
        for pid in subprocess.run(
            ["ip", "netns", "pids", self.name], capture_output=True, text=True
        ).stdout.split():
            with suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        subprocess.run(["ip", "netns", "delete", self.name], check=True)
        shutil.rmtree(self.folder, ignore_errors=True)


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@contextmanager
def dockerd(folder: Path, images: Iterable[str]) -> Iterator[Dockerd]:
    """Run one that has these images of the common engine; skip the test where that is not possible."""
    if os.geteuid() or not all(map(shutil.which, ("dockerd", "ip", "nsenter", "unshare"))):
        pytest.skip("only root, with dockerd and ip, can start an engine of its own")
    made = Dockerd(folder, f"sd-{secrets.token_hex(4)}")
    folder.mkdir(parents=True)
    subprocess.run(["ip", "netns", "add", made.name], check=True)
    try:
        subprocess.run([*made.within, "ip", "link", "set", "lo", "up"], check=True)
        made.start()
        kept = folder / "images.tar"
        docker("save", "-o", str(kept), *images)
        docker("-H", made.address, "load", "-i", str(kept))
        kept.unlink()
        yield made
    finally:
        made.remove()

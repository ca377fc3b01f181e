"""A deployed project that a measurement drives: its verbs run as processes, and its parts can be broken."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import requests
import yaml

from bench.sandbox import COMMAND, SOURCE, Sandbox, sandbox
from swiftdeploy_tasks.engines.local import processes
from swiftdeploy_tasks.model.release import Slot, other
from swiftdeploy_tasks.proxy import probe
from tests.lab import IMAGES

VERB_SECONDS = 300.0
_STEERING = ("INVOKE_", "SWIFTDEPLOY_", "DOCKER_", "PYTHON", "COMPOSE_")


@dataclass(frozen=True)
class Ended:
    """A verb that has ended: its exit code, its document, what it printed, and its seconds by the clock."""

    code: int
    document: dict[str, Any]
    told: str
    seconds: float

    def ok(self) -> Ended:
        """Return itself; raises RuntimeError with what it printed when it failed."""
        if self.code:
            raise RuntimeError(f"ended with {self.code}:\n{self.told}")
        return self


def _parsed(line: bytes) -> dict[str, Any]:
    """Return the record, {} for a line that is not written to its end."""
    try:
        record: dict[str, Any] = json.loads(line)
    except ValueError:
        return {}
    return record


@dataclass(frozen=True)
class Running:
    """A verb that still runs, telling into `log`."""

    process: subprocess.Popen[str]
    log: Path
    began: float
    history: Path
    recorded: int

    def told(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")

    def until_watched(self, slot: str, share: int) -> None:
        """Wait until it watches the slot at this share; raises RuntimeError when it ends before."""

        def is_watched() -> bool:
            lines = self.history.read_bytes()[self.recorded :].splitlines()
            steps = [record for record in map(_parsed, lines) if record.get("action") == "watch"]
            wanted = (f"app-{slot}", share)
            return any((step["target"], step.get("weights", {}).get(slot)) == wanted for step in steps)

        probe.until(lambda: is_watched() or self.process.poll() is not None, seconds=VERB_SECONDS, every=0.02)
        if not is_watched():
            raise RuntimeError(f"it never watched {slot} at {share} %:\n{self.told()}")

    def end(self) -> Ended:
        """Wait for its end."""
        try:
            out, _ = self.process.communicate(timeout=VERB_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        spent = time.monotonic() - self.began
        return Ended(self.process.returncode, json.loads(out) if out else {}, self.told(), spent)


@dataclass(frozen=True)
class Stack:
    """A project of its own on `engine`."""

    place: Sandbox
    engine: str
    logs: Path

    @property
    def manifest(self) -> dict[str, Any]:
        found: dict[str, Any] = yaml.safe_load(self._manifest.read_text(encoding="utf-8"))
        return found

    @property
    def name(self) -> str:
        return str(self.manifest["name"])

    @property
    def port(self) -> int:
        return int(self.manifest["nginx"]["port"])

    @property
    def operator_port(self) -> int:
        return int(self.manifest["nginx"]["operator_port"])

    def set(self, **values: Any) -> None:
        """Change the manifest: `services__version="2"` is services.version."""
        manifest = self.manifest
        for path, value in values.items():
            *folders, key = path.split("__")
            into = manifest
            for folder in folders:
                into = into.setdefault(folder, {})
            into[key] = value
        self._manifest.write_text(yaml.safe_dump(manifest, sort_keys=False), encoding="utf-8")

    def start(self, *words: str) -> Running:
        """Start a verb with --json; its stderr goes into a log of its own."""
        log = self.logs / f"{time.monotonic_ns()}.log"
        history = self.place.root / "history.jsonl"
        recorded = history.stat().st_size if history.exists() else 0
        with log.open("w") as told:
            process = subprocess.Popen(
                [str(COMMAND), *words, "--json"],
                cwd=self.place.root,
                env={name: value for name, value in os.environ.items() if not name.startswith(_STEERING)},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=told,
                text=True,
            )
        return Running(process, log, time.monotonic(), history, recorded)

    def run(self, *words: str) -> Ended:
        return self.start(*words).end()

    def other_slot(self) -> Slot:
        """Return the slot in which the next release starts."""
        found = probe.generation(self.operator_port)
        if found is None or found.traffic.leader is None:
            raise RuntimeError("no slot serves")
        return other(found.traffic.leader)

    def break_slot(self, slot: Slot) -> float:
        """Make it answer with errors only; return when (monotonic s) it had said that it does."""
        order = {"mode": "error", "rate": 1}
        url = f"http://127.0.0.1:{self.operator_port}/slots/{slot}/chaos"
        requests.post(url, json=order, timeout=5, headers={"Connection": "close"}).raise_for_status()
        return time.monotonic()

    def nginx(self) -> list[psutil.Process]:
        """Return nginx's master and its workers."""
        home = self.place.root / ".swiftdeploy"
        is_local = self.engine == "local"
        pid = int((home / "run" / "nginx.pid").read_text()) if is_local else self._container_pid("nginx")
        first = psutil.Process(pid)
        # In a container docker-init comes before the master.
        return [one for one in (first, *first.children(recursive=True)) if one.name() == "nginx"]

    def kill_slot(self, slot: Slot) -> None:
        """End its process at once, as a crash does: without a call to the engine."""
        if self.engine == "docker":
            os.kill(self._container_pid(f"app-{slot}"), signal.SIGKILL)
            return
        home = str(self.place.root / ".swiftdeploy")
        wanted = {processes.HOME: home, processes.SLOT: slot}
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if wanted.items() <= process.environ().items():
                    process.kill()

    def _container_pid(self, part: str) -> int:
        words = ["docker", "inspect", "--format", "{{.State.Pid}}", f"{self.name}-{part}"]
        return int(subprocess.check_output(words, text=True))

    @property
    def _manifest(self) -> Path:
        return self.place.root / "manifest.yaml"


def memory_of(found: Iterable[psutil.Process]) -> float:
    """Return the memory of the processes in MiB, a page that several share counted once."""
    size = 0
    for process in found:
        with contextlib.suppress(psutil.Error):
            size += process.memory_full_info().pss
    return size / 2**20


@contextlib.contextmanager
def stack(engine: str, **values: Any) -> Iterator[Stack]:
    """Make a project on this engine and deploy it; nothing of it is left afterwards."""
    with sandbox() as place, tempfile.TemporaryDirectory(prefix="bench-logs-") as logs:
        made = Stack(place, engine, Path(logs))
        made.set(engine=engine, **values)
        if engine == "docker":
            _use_lab_images(made)
        try:
            made.run("deploy").ok()
            yield made
        finally:
            made.run("teardown", "--clean").ok()
            if engine == "docker":
                _remove_images(made.name)


def _use_lab_images(made: Stack) -> None:
    (made.place.root / "Dockerfile").write_bytes((SOURCE / "Dockerfile").read_bytes())
    made.set(
        services__build={"context": ".", "args": {"BASE_IMAGE": IMAGES["base"]}},
        services__log_volume=f"{made.name}-logs",
        nginx__image=IMAGES["nginx"],
        opa__image=IMAGES["opa"],
    )


def _remove_images(name: str) -> None:
    words = ["docker", "images", "--format", "{{.Repository}}:{{.Tag}}"]
    tags = [tag for tag in subprocess.check_output(words, text=True).split() if tag.startswith(f"{name}-")]
    subprocess.run(["docker", "rmi", *tags], capture_output=True, check=False)

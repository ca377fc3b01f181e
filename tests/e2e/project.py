"""A project of its own for a test: its own folder, ports and names, and no trace of it afterwards.

Its verbs run as the real command in a process of their own. It looks at what runs through the operating
system and the docker command, never through the program under test.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import yaml

from tests.e2e.fork_server import Verb
from tests.e2e.wire import Answer, ask
from tests.lab import IMAGES
from tests.leftovers import note
from tests.ports import free_ports

SOURCE = Path(__file__).resolve().parents[2]
COMMAND = Path(sys.executable).parent / "swiftdeploy"
SECONDS = 90.0
NOBODYS = {"SWIFTDEPLOY", "INVOKE", "COMPOSE", "DOCKER", "APP", "MODE"}


def until(condition: Callable[[], bool], what: str, *, seconds: float = 60.0) -> None:
    """Wait for a condition, and fail naming `what` when it does not come true."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"{what}: not so within {seconds:g} s"
        time.sleep(0.05)


@dataclass(frozen=True)
class Ended:
    """One verb that has ended."""

    code: int
    out: str
    err: str

    @property
    def said(self) -> str:
        return self.out + self.err

    def document(self) -> dict[str, Any]:
        """The one JSON document on stdout; fails when there is anything else on it."""
        found = json.loads(self.out)
        assert isinstance(found, dict)
        return found

    def ok(self) -> Ended:
        assert self.code == 0, f"exit {self.code}\n{self.said}"
        return self


@dataclass
class Started:
    """A verb that still runs."""

    process: subprocess.Popen[str]

    def end(self, *, seconds: float = SECONDS) -> Ended:
        try:
            out, err = self.process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            out, err = self.process.communicate()
            raise AssertionError(f"still running after {seconds:g} s\n{out}{err}") from None
        assert "Traceback" not in out + err, out + err
        return Ended(self.process.returncode, out, err)


@dataclass
class Project:
    """One project in `root`; `manifest` is what `write` puts into manifest.yaml."""

    root: Path
    engine: str
    name: str
    manifest: dict[str, Any]
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def state(self) -> Path:
        return self.root / ".swiftdeploy"

    @property
    def port(self) -> int:
        return int(self.manifest["nginx"]["port"])

    @property
    def operator_port(self) -> int:
        return int(self.manifest["nginx"]["operator_port"])

    @property
    def opa_port(self) -> int:
        return int(self.manifest["opa"]["port"])

    def set(self, **values: Any) -> None:
        """Change the manifest: `services__version="2"` is services.version; None removes the key."""
        for path, value in values.items():
            *folders, key = path.split("__")
            place = self.manifest
            for folder in folders:
                place = place.setdefault(folder, {})
            if value is None:
                place.pop(key, None)
            else:
                place[key] = value
        self.write()

    def write(self) -> None:
        (self.root / "manifest.yaml").write_text(yaml.safe_dump(self.manifest, sort_keys=False))

    def use_app(self, source: str) -> None:
        """Replace the app by one file of one's own."""
        shutil.rmtree(self.root / "app")
        (self.root / "app").mkdir()
        (self.root / "app" / "main.py").write_text(source)

    def start(self, *words: str, folder: Path | None = None, **environment: str) -> Started:
        """Start a verb in the project's folder, or in `folder`, with more in its environment."""
        return self.start_as([str(COMMAND)], *words, folder=folder, **environment)

    def start_as(
        self, command: list[str], *words: str, folder: Path | None = None, **environment: str
    ) -> Started:
        """Start a verb by another command than our own."""
        inherited = {n: v for n, v in os.environ.items() if n.split("_")[0] not in NOBODYS}
        own = {**self.environment, **environment}
        # What the interpreter reads when it starts needs a start of its own.
        is_new = command != [str(COMMAND)] or any(name.startswith(("LC_", "LANG", "PYTHON")) for name in own)
        return Started(
            (subprocess.Popen if is_new else Verb)(
                [*command, *words],
                cwd=folder or self.root,
                env={**inherited, **own},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                start_new_session=True,
            )
        )

    def run(self, *words: str, folder: Path | None = None, **environment: str) -> Ended:
        return self.start(*words, folder=folder, **environment).end()

    def deploy(self, **environment: str) -> Ended:
        return self.run("deploy", folder=None, **environment).ok()

    def get(self, path: str = "/", **options: Any) -> Answer:
        """Ask the public port."""
        return ask(self.port, path, **options)

    def operator(self, path: str, **options: Any) -> Answer:
        """Ask the operator port."""
        return ask(self.operator_port, path, **options)

    def containers(self) -> dict[str, str]:
        """The ids of our containers by name, running or not."""
        rows = docker("ps", "-a", "--no-trunc", *self._ours(), "--format", "{{.Names}} {{.ID}}").splitlines()
        return dict(row.split() for row in rows)

    def inspect(self, part: str) -> dict[str, Any]:
        """What docker knows about `<name>-<part>`."""
        found: dict[str, Any] = json.loads(docker("inspect", f"{self.name}-{part}"))[0]
        return found

    def processes(self) -> dict[str, int]:
        """The pids of our local processes: nginx's master, opa, and the app of each slot."""
        found = {}
        for process in psutil.process_iter():
            part = self._part(process)
            if part:
                found[part] = process.pid
        return found

    def _part(self, process: psutil.Process) -> str:
        try:
            if process.status() == psutil.STATUS_ZOMBIE:
                return ""
            title = " ".join(process.cmdline())
            if title.startswith("nginx: master") and f" -p {self.state}/nginx/" in title:
                return "nginx"
            own = process.environ()
        except psutil.Error:
            return ""
        if own.get("SWIFTDEPLOY_HOME") != str(self.state):
            return ""
        slot = own.get("SWIFTDEPLOY_SLOT")
        return f"app-{slot}" if slot else own.get("SWIFTDEPLOY_PART", "process")

    def running(self) -> dict[str, str]:
        """What runs for us, by part: container ids or pids. Two that are equal mean that nothing moved."""
        if self.engine == "local":
            return {part: str(pid) for part, pid in self.processes().items()}
        prefix = len(self.name) + 1
        return {name[prefix:]: id for name, id in self.containers().items()}

    def kill(self, part: str) -> None:
        """End a part at once, as a crash would."""
        if self.engine == "local":
            psutil.Process(self.processes()[part]).kill()
        else:
            docker("kill", "-s", "KILL", f"{self.name}-{part}")

    def stop(self, part: str) -> None:
        """End a part for good: on docker its restart policy would bring a killed one back."""
        if self.engine == "docker":
            docker("stop", "-t", "1", f"{self.name}-{part}")
            return
        process = psutil.Process(self.processes()[part])
        process.kill()
        until(lambda: part not in self.processes(), f"{part} is gone")

    def access_log(self) -> list[str]:
        if self.engine == "local":
            return (self.state / "logs" / "access.log").read_text().splitlines()
        return docker("logs", f"{self.name}-nginx").splitlines()

    def generation(self) -> str:
        return self.operator("/generation").body.decode().split()[0]

    def left(self) -> list[str]:
        """Everything on this host that still carries our home or our name."""
        found = [f"process {part} ({pid})" for part, pid in self.processes().items()]
        if self.engine == "docker":
            kinds = {"container": ("ps", "-a", "--format", "{{.Names}}")}
            kinds |= {k: (k, "ls", "--format", "{{.Name}}") for k in ("network", "volume")}
            for kind, words in kinds.items():
                found += [f"{kind} {name}" for name in docker(*words, *self._ours()).split()]
                found += [f"{kind} {n}" for n in docker(*words).split() if n.startswith(f"{self.name}-")]
        return sorted(set(found))

    def _ours(self) -> tuple[str, str]:
        return ("--filter", f"label=swiftdeploy.home={self.state}")

    def history(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.root / "history.jsonl").read_text().splitlines()]

    def remove(self) -> None:
        """Remove what is left by force, so that one failed test leaves nothing to the next."""
        for pid in self.processes().values():
            for one in [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]:
                one.kill()
        if self.engine != "docker":
            return
        for kind in ("container", "network", "volume"):
            names = [n.split(" ", 1)[1] for n in self.left() if n.startswith(f"{kind} ")]
            if names:
                docker(kind, "rm", *(["-f"] if kind == "container" else []), *names, check=False)
        tags = docker("images", "--format", "{{.Repository}}:{{.Tag}}").split()
        if mine := [tag for tag in tags if tag.startswith(f"{self.name}-")]:
            docker("rmi", *mine, check=False)


def docker(*words: str, check: bool = True, input: str = "") -> str:
    """What a docker command prints, both streams."""
    done = subprocess.run(
        ["docker", *words],
        input=input,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
    )
    assert not check or done.returncode == 0, f"docker {' '.join(words)}: {done.stdout}"
    return done.stdout


def pause(container: str) -> None:
    """Freeze a container; a busy kernel may need more than one try."""

    def is_paused() -> bool:
        docker("pause", container, check=False)
        return docker("inspect", "-f", "{{.State.Paused}}", container).strip() == "true"

    until(is_paused, f"{container} is paused")


def make(folder: Path, engine: str, **changes: Any) -> Project:
    """A new project of the app that ships, not yet deployed; `changes` as in `Project.set`."""
    name = f"e2e-{secrets.token_hex(4)}"
    root = folder / f"project {name}"
    root.mkdir()
    shutil.copytree(SOURCE / "app", root / "app", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(SOURCE / "Dockerfile", root)
    public, operator, opa = free_ports(3)
    manifest: dict[str, Any] = {
        "name": name,
        "services": {
            "image": f"{name}-app:latest",
            "port": 3000,
            "version": "1.0.0",
            "log_volume": f"{name}-logs",
            "build": {"context": ".", "args": {"BASE_IMAGE": IMAGES["base"]}},
            "health": {"interval": 0.2, "timeout": 20},
        },
        "nginx": {"image": IMAGES["nginx"], "port": public, "operator_port": operator},
        "opa": {"image": IMAGES["opa"], "port": opa},
        "network": {"name": f"{name}-net", "driver_type": "bridge"},
        "contact": "desk@example.org",
        "engine": engine,
        # Under load each change is watched for so long.
        "rollout": {"interval": 1},
        "policy": {
            "infrastructure": {
                "min_disk_free_gb": 0.001,
                "max_load_per_core": 1000,
                "max_memory_used_percent": 100,
            }
        },
    }
    project = Project(root, engine, name, manifest)
    project.set(**changes)
    return project


def used(project: Project) -> Iterator[Project]:
    """Hand the project to a test, tear it down after it, and fail if that leaves anything."""
    noted = note(project.name, root=str(project.root), engine=project.engine)
    try:
        yield project
        ended = project.run("teardown")
        left = project.left()
        assert ended.code == 0, f"teardown ended with {ended.code}\n{ended.said}"
        assert not left, f"teardown left {left}\n{ended.said}"
    finally:
        project.remove()
        if noted:
            noted.unlink()

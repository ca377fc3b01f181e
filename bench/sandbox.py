"""A project for measurements, with a name and ports of its own."""

from __future__ import annotations

import os
import random
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

from swiftdeploy_tasks.gate import Bundle, publish
from swiftdeploy_tasks.gate.opa_server import wait_ready

SOURCE = Path(__file__).resolve().parents[1]
COMMAND = Path(sys.executable).with_name("swiftdeploy")
_STEERING = ("INVOKE_", "SWIFTDEPLOY_", "DOCKER_", "PYTHON")


@dataclass(frozen=True)
class Sandbox:
    """A project on the local engine in the folder `root`; OPA may listen on `opa_port`."""

    root: Path
    opa_port: int

    def forget(self) -> None:
        """Remove all that a verb left, so that the next one finds nothing remembered."""
        shutil.rmtree(self.root / ".swiftdeploy", ignore_errors=True)
        for name in ("history.jsonl", "nginx.conf", "docker-compose.yml"):
            (self.root / name).unlink(missing_ok=True)

    def run(self, words: tuple[str, ...]) -> None:
        """Run a command to its end; raises RuntimeError with what it said when it fails."""
        ended = subprocess.run(
            words,
            cwd=self.root,
            env={name: value for name, value in os.environ.items() if not name.startswith(_STEERING)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if ended.returncode:
            said = f"{ended.stdout}{ended.stderr}".strip()
            raise RuntimeError(f"{' '.join(words)} ended with {ended.returncode}:\n{said}")


@contextmanager
def sandbox() -> Iterator[Sandbox]:
    """Make a project that no load of the host makes invalid; it is removed afterwards."""
    name = f"bench-{secrets.token_hex(4)}"
    public, operator, opa = _ports(3)
    manifest = {
        "name": name,
        "engine": "local",
        "services": {"image": f"{name}-app:latest", "port": 3000, "version": "1.0.0"},
        "nginx": {"image": "nginx:latest", "port": public, "operator_port": operator},
        "opa": {"port": opa},
        "network": {"name": f"{name}-net", "driver_type": "bridge"},
        "policy": {
            "infrastructure": {
                "min_disk_free_gb": 0.001,
                "max_load_per_core": 1000,
                "max_memory_used_percent": 100,
            }
        },
    }
    with tempfile.TemporaryDirectory(prefix=f"{name}-") as folder:
        root = Path(folder) / "shop"
        root.mkdir()
        shutil.copytree(SOURCE / "app", root / "app", ignore=shutil.ignore_patterns("__pycache__"))
        (root / "manifest.yaml").write_text(yaml.safe_dump(manifest, sort_keys=False), encoding="utf-8")
        yield Sandbox(root, opa)


@contextmanager
def opa_server(place: Sandbox, rules: Bundle) -> Iterator[str]:
    """Run an OPA server with these rules, as the local engine would; the value is its address."""
    folder = place.root / ".bundle"
    publish(rules, folder)
    address = f"127.0.0.1:{place.opa_port}"
    words = ["opa", "run", "--server", "--addr", address, "--bundle", str(folder), "--watch"]
    server = subprocess.Popen(
        [*words, "--log-level", "error"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        wait_ready(f"http://{address}", rules.revision)
        yield f"http://{address}"
    finally:
        server.terminate()
        server.wait(timeout=10)


def _ports(count: int) -> list[int]:
    """Ports on which nothing listens, below those that the kernel hands to outgoing connections."""
    found: set[int] = set()
    while len(found) < count:
        port = random.randrange(21000, 32000)
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)):
                found.add(port)
    return list(found)

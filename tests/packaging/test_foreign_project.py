"""Another project mounts the collection, from the wheel, and deploys a service of its own.

The service knows nothing of SwiftDeploy: it has a health path that answers 200, and one page.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from typing import Any

import psutil
import pytest
import requests
import yaml

from tests.lab import require
from tests.packaging.conftest import CHECKOUT
from tests.ports import free_ports

SERVER = """
import http.server
import os


class Shop(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        found = self.path in ("/", "/alive")
        body = b"open for business" if self.path == "/" else b""
        self.send_response(200 if found else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


http.server.ThreadingHTTPServer((os.environ["APP_HOST"], int(os.environ["APP_PORT"])), Shop).serve_forever()
"""
ALONE = "from swiftdeploy_tasks import ns\n"
UNDER_SHIP = dedent(
    """\
    from invoke import Collection

    from swiftdeploy_tasks import ns as lifecycle

    ns = Collection()
    ns.add_collection(lifecycle, "ship")
    """
)


@dataclass(frozen=True)
class Shop:
    """The project's folder, the prefix of its tasks' names, and where its state lies."""

    root: Path
    prefix: str
    state: Path
    port: int
    python: Path
    environment: dict[str, str]

    def invoke(self, verb: str, *words: str, within: str = ".", code: int = 0) -> dict[str, Any]:
        """Run a verb in a folder of the project, and return its document, with its stderr as `told`."""
        ended = subprocess.run(
            [self.python, "-m", "invoke", self.prefix + verb, *words, "--json"],
            cwd=self.root / within,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=90,
        )
        assert ended.returncode == code, ended.stdout + ended.stderr
        document: dict[str, Any] = json.loads(ended.stdout)
        return document | {"told": ended.stderr}

    def processes(self) -> list[int]:
        """The processes that carry this project's home in their environment."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get("SWIFTDEPLOY_HOME") == str(self.state):
                    found.append(process.pid)
            except psutil.Error:
                continue
        return found


def manifest(name: str, ports: list[int]) -> dict[str, Any]:
    public, operator, opa = ports
    return {
        "name": name,
        "engine": "local",
        "services": {
            "image": "shop:1",
            "port": 9000,
            "version": "7.1",
            "source": "server.py",
            "process": ["python", "server.py"],
            "health": {"path": "/alive", "passes": 1, "interval": 0.1, "timeout": 20},
            "metrics": None,
        },
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


@pytest.fixture(params=[(ALONE, ""), (UNDER_SHIP, "ship.")], ids=["alone", "under a sub-collection"])
def shop(request: pytest.FixtureRequest, programs: Path, tmp_path: Path) -> Iterator[Shop]:
    require("nginx")
    tasks, prefix = request.param
    ports = free_ports(3)
    root, state = tmp_path / "the shop", tmp_path / "kept elsewhere"
    (root / "deep" / "inside").mkdir(parents=True)
    (root / "tasks.py").write_text(tasks)
    (root / "server.py").write_text(SERVER)
    (root / "manifest.yaml").write_text(yaml.safe_dump(manifest(f"shop-{ports[0]}", ports)))
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    environment = kept | {"INVOKE_SWIFTDEPLOY_STATE": str(state)}
    made = Shop(root, prefix, state, ports[0], programs / "python", environment)
    try:
        yield made
    finally:
        made.invoke("teardown")
        assert made.processes() == []


def test_a_foreign_service_is_deployed_answers_and_is_torn_down(shop: Shop) -> None:
    url = f"http://127.0.0.1:{shop.port}/"

    deployed = shop.invoke("deploy", within="deep/inside")
    assert (deployed["engine"], deployed["version"], deployed["url"]) == ("local", "7.1", url)
    answer = requests.get(url, timeout=5)
    assert (answer.status_code, answer.text) == (200, "open for business")
    assert answer.headers["X-Deployed-By"] == "swiftdeploy"
    assert shop.invoke("plan")["in_sync"]
    refused = shop.invoke("rollback", code=2)
    assert refused["error"]["next"] == "invoke rollback --list"
    assert f"next: invoke {shop.prefix}rollback --list" in refused["told"]

    lines = (shop.state / "history.jsonl").read_text().splitlines()
    assert {"started", "verdict", "finished"} <= {json.loads(line)["event"] for line in lines}
    assert not (shop.root / ".swiftdeploy").exists()
    assert not (shop.root / "history.jsonl").exists()

    assert shop.invoke("teardown", within="deep")["removed"]
    with pytest.raises(requests.ConnectionError):
        requests.get(url, timeout=5)


def test_a_projects_own_template_wins_over_the_one_in_the_wheel(shop: Shop) -> None:
    (shop.root / "templates").mkdir()
    template = (CHECKOUT / "templates" / "nginx.conf.j2").read_text()
    (shop.root / "templates" / "nginx.conf.j2").write_text(f"{template}\n# the shop's own\n")
    shop.invoke("render")
    assert "# the shop's own" in (shop.root / "nginx.conf").read_text()
    assert (shop.root / "docker-compose.yml").is_file()

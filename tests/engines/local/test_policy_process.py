"""On local only the OPA that was started from here answers for the gate, whatever listens on its port."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from swiftdeploy_tasks import settings
from swiftdeploy_tasks.engines.local import policy_process, process_checks, processes, proxy_process
from swiftdeploy_tasks.engines.local.local_engine import LocalEngine
from swiftdeploy_tasks.errors import GateUnavailable
from swiftdeploy_tasks.gate import Bundle, Question
from swiftdeploy_tasks.gate.opa_server import wait_ready
from swiftdeploy_tasks.manifest import loading
from swiftdeploy_tasks.manifest.model import Manifest
from swiftdeploy_tasks.model import components
from swiftdeploy_tasks.model.spec import Spec
from swiftdeploy_tasks.proxy.probe import until
from swiftdeploy_tasks.rollout import admission, policies
from tests.lab import require
from tests.ports import free_port

QUESTION = Question("infrastructure", {"host": {}})
NOBODY = 65534
IMPOSTOR = """
import http.server, json, os, sys

ANSWER = {
    "provenance": {"bundles": {".": {"revision": sys.argv[2]}}},
    "result": {"allow": True, "checks": json.loads(sys.argv[3])},
}

class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        body = json.dumps(ANSWER).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *words):
        pass

server = http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler)
os.setuid(int(sys.argv[4]))
server.serve_forever()
"""


@dataclasses.dataclass(frozen=True)
class Place:
    """A project whose gate is an OPA server on local, and the policies that it published."""

    settings: settings.Settings
    manifest: Manifest
    engine: LocalEngine
    rules: Bundle

    def ask(self) -> bool:
        return admission.ask(
            QUESTION, self.rules, settings=self.settings, manifest=self.manifest, engine=self.engine
        ).allow

    def start(self) -> None:
        self.engine.prepare((self.spec,), print)
        self.engine.start(self.spec, {})

    def fault(self) -> str:
        written = self.engine.written((self.spec,))
        return policies.fault(self.manifest, self.engine, self.engine.observe().policy, written)

    @property
    def spec(self) -> Spec:
        return components.opa(self.manifest, self.settings.home)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    require("opa")
    (tmp_path / "manifest.yaml").write_text(
        "name: impostor\nservices: {image: 'x:1', port: 3000}\nnginx: {image: nginx, port: 8080}\n"
        "network: {name: n, driver_type: bridge}\nengine: local\ngate: server\n"
        f"opa: {{port: {free_port()}}}\n"
    )
    found = settings.find(tmp_path)
    asked = loading.load(found.manifest, schema=found.schema)
    rules = policies.bundle(found, asked)
    policies.publish(found, rules)
    engine = LocalEngine(tmp_path, found.state)
    yield Place(found, asked, engine, rules)
    engine.stop("opa")


@contextmanager
def impostor(
    place: Place, *, checks: list[str], user: int = os.getuid()
) -> Iterator[subprocess.Popen[bytes]]:
    """A process that listens on OPA's port with the marks of ours, and allows everything."""
    told = [{"rule": rule, "passed": True, "observed": 1, "limit": 1, "message": "fine"} for rule in checks]
    port = place.manifest.opa.port
    marks = {
        processes.PROJECT: place.manifest.name,
        processes.HOME: str(place.engine.home),
        processes.PART: "opa",
        processes.SPEC: place.engine.written((place.spec,)).digests["opa"],
    }
    words = [str(port), place.rules.revision, json.dumps(told), str(user)]
    with subprocess.Popen([sys.executable, "-c", IMPOSTOR, *words], env=marks) as process:
        try:
            assert until(lambda: bool(processes.listening_of(process.pid)), seconds=20)
            yield process
        finally:
            process.kill()


USERS = [os.getuid(), pytest.param(NOBODY, marks=pytest.mark.skipif(os.getuid() != 0, reason="needs root"))]
RULES = ["max_load_per_core", "max_memory_used_percent", "min_disk_free_gb"]


@pytest.mark.parametrize("user", USERS)
@pytest.mark.parametrize("checks", [["invented"], RULES])
def test_another_process_on_the_port_of_opa_never_answers(place: Place, user: int, checks: list[str]) -> None:
    with impostor(place, checks=checks, user=user) as process:
        assert place.manifest.opa.port not in process_checks._held(place.engine.home)
        assert place.fault()
        with pytest.raises(GateUnavailable, match=rf"held by .*\(pid {process.pid}\)") as raised:
            place.ask()
    assert raised.value.exit_code == 4


def test_another_process_that_took_the_port_of_a_dead_opa_never_answers(place: Place) -> None:
    place.start()
    wait_ready(f"http://127.0.0.1:{place.manifest.opa.port}", place.rules.revision)
    assert place.ask() is False
    assert place.fault() == ""
    psutil.Process(policy_process.noted(place.engine.home)).kill()
    assert until(lambda: not policy_process.noted(place.engine.home), seconds=20)
    with impostor(place, checks=RULES), pytest.raises(GateUnavailable, match="held by"):
        place.ask()


@pytest.mark.skipif(os.getuid() != 0, reason="needs root")
def test_an_opa_that_cannot_have_its_port_names_the_process_that_holds_it(place: Place) -> None:
    with (
        impostor(place, checks=RULES, user=NOBODY) as process,
        pytest.raises(GateUnavailable, match=rf"OPA ended at once .*\(pid {process.pid}\)"),
    ):
        place.start()


def test_the_note_of_opa_is_readable_by_this_user_alone_and_names_one_process(place: Place) -> None:
    place.start()
    note = next((place.engine.home / "run" / "started").iterdir())
    assert note.stat().st_mode & 0o777 == 0o600
    assert policy_process.noted(place.engine.home)
    note.write_text(json.dumps(json.loads(note.read_text()) | {"start": "another boot/1"}))
    assert policy_process.noted(place.engine.home) == 0
    assert place.fault() == "it was not started from this state folder"


@pytest.mark.skipif(os.getuid() != 0, reason="needs root")
def test_a_process_of_another_user_is_never_ours(tmp_path: Path) -> None:
    marks = {processes.HOME: str(tmp_path), processes.SLOT: "blue", processes.PROJECT: "x"}
    with subprocess.Popen(["sleep", "30"], env=marks | {"PATH": os.environ["PATH"]}, user=NOBODY) as process:
        try:
            assert until(lambda: "sleep" in psutil.Process(process.pid).cmdline(), seconds=20)
            assert list(processes.ours(str(tmp_path))) == []
            assert processes.other_home("x", "elsewhere") == ("", ())
        finally:
            process.kill()


@pytest.mark.skipif(os.getuid() != 0, reason="needs root")
def test_a_process_of_another_user_with_the_title_of_our_nginx_is_not_ours(tmp_path: Path) -> None:
    title = f"nginx: master process nginx -p {tmp_path}/ -e x"
    with subprocess.Popen([title, "30"], executable="/bin/sleep", user=NOBODY) as process:
        try:
            assert until(lambda: process.poll() is not None or bool(_title(process.pid)), seconds=20)
            assert proxy_process.master(tmp_path) is None
        finally:
            process.kill()


def _title(pid: int) -> str:
    title = " ".join(psutil.Process(pid).cmdline())
    return title if title.startswith("nginx: master") else ""

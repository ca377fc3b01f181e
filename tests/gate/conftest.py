"""One real OPA server for all tests of the gate, which watches a folder that the tests publish to."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from swiftdeploy_tasks.gate import Bundle, Question, Verdict, publish, read_bundle
from swiftdeploy_tasks.gate.embedded import ask_embedded
from swiftdeploy_tasks.gate.opa_server import ask_server, wait_ready
from tests.lab import require
from tests.ports import free_port

POLICIES = Path(__file__).parents[2] / "policies"

Ask = Callable[[Question, Bundle], Verdict]


@dataclass(frozen=True)
class WatchingServer:
    url: str
    folder: Path

    def serve(self, bundle: Bundle) -> str:
        if bundle.files()[".manifest"] != (self.folder / ".manifest").read_bytes():
            publish(bundle, self.folder)
        wait_ready(self.url, bundle.revision)
        return self.url

    def ask(self, question: Question, bundle: Bundle) -> Verdict:
        return ask_server(question, url=self.serve(bundle), revision=bundle.revision, rules=None)


@pytest.fixture(scope="session")
def opa(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WatchingServer]:
    binary = require("opa")
    folder = tmp_path_factory.mktemp("opa") / "a bundle"
    bundle = read_bundle(POLICIES, {})
    publish(bundle, folder)
    port = free_port()
    words = [binary, "run", "--server", "--addr", f"127.0.0.1:{port}", "--bundle", str(folder), "--watch"]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    server = WatchingServer(f"http://127.0.0.1:{port}", folder)
    try:
        # What is published between OPA's first look and its first watch would go unnoticed.
        wait_ready(server.url, bundle.revision)
        yield server
    finally:
        process.terminate()
        process.wait(timeout=10)


@pytest.fixture(params=["server", "embedded"])
def ask(request: pytest.FixtureRequest) -> Ask:
    """Each of the two answerers in turn."""
    if request.param == "embedded":
        return ask_embedded
    server: WatchingServer = request.getfixturevalue("opa")
    return server.ask


@pytest.fixture(scope="session")
def bundle() -> Bundle:
    return read_bundle(POLICIES, {})

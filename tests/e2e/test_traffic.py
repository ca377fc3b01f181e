"""What a canary and a foreign app answer through our nginx, when they are slow, sick or large."""

from __future__ import annotations

import hashlib
import json
import socket
import time
from collections.abc import Iterator

import pytest

from tests.e2e import apps
from tests.e2e.project import Project, make, used
from tests.e2e.wire import Answer


@pytest.fixture(scope="module")
def canary(engine: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    for project in used(
        make(tmp_path_factory.mktemp("e2e"), engine, services__mode="canary", nginx__proxy_timeout=1)
    ):
        project.deploy()
        yield project


def _chaos(project: Project, **order: object) -> Answer:
    answer = project.get("/chaos", method="POST", body=json.dumps(order).encode())
    assert answer.status == 200, answer.body
    return answer


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [("GET", "/", 200), ("HEAD", "/", 200), ("GET", "/no", 404), ("PUT", "/", 405)],
)
def test_a_canary_says_once_that_it_is_one(canary: Project, method: str, path: str, code: int) -> None:
    answer = canary.get(path, method=method)
    assert (answer.status, answer.all("X-Mode")) == (code, ["canary"])
    assert answer.all("X-Deployed-By") == ["swiftdeploy"]


def test_an_app_that_is_too_slow_is_a_504_in_json(canary: Project) -> None:
    _chaos(canary, mode="slow", duration=8)
    answer = canary.get("/")
    _chaos(canary, mode="recover")
    assert answer.status == 504
    assert set(answer.json()) == {"error", "code", "service", "contact"}
    assert (answer.json()["code"], answer.json()["service"]) == (504, canary.name)
    assert answer.all("X-Deployed-By") == ["swiftdeploy"]
    assert canary.get("/").status == 200


def test_an_error_of_the_app_itself_comes_through_as_it_is(canary: Project) -> None:
    _chaos(canary, mode="error", rate=1)
    answer = canary.get("/")
    _chaos(canary, mode="recover")
    assert answer.status == 500
    assert (answer.all("X-Mode"), answer.all("X-Deployed-By")) == (["canary"], ["swiftdeploy"])
    assert "contact" not in answer.json()


@pytest.fixture(scope="module")
def foreign(engine: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    for project in used(make(tmp_path_factory.mktemp("e2e"), engine, services__metrics=None)):
        project.use_app(apps.FOREIGN)
        project.deploy()
        yield project


def test_an_app_that_only_has_a_health_path_is_served(foreign: Project) -> None:
    assert foreign.get("/healthz").body == b"fine"
    assert foreign.run("plan", "--json").ok().document()["in_sync"]


def test_the_variables_of_the_app_name_its_mode_version_and_address(foreign: Project) -> None:
    got = foreign.get("/environment").json()
    assert (got["MODE"], got["APP_VERSION"]) == ("stable", "1.0.0")
    assert got["APP_HOST"] == ("127.0.0.1" if foreign.engine == "local" else "0.0.0.0")
    assert foreign.engine == "local" or got["APP_PORT"] == "3000"


def test_an_app_cannot_say_in_our_place_who_deployed(foreign: Project) -> None:
    assert foreign.get("/healthz").all("X-Deployed-By") == ["swiftdeploy"]


def test_a_large_answer_to_a_slow_client_arrives_whole(foreign: Project) -> None:
    """It is larger than the disk that nginx has, and the app is done long before the client."""
    wire = socket.socket()
    wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
    wire.settimeout(30)
    wire.connect(("127.0.0.1", foreign.port))
    wire.sendall(b"GET /large HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    digest, size = hashlib.sha256(), 0
    with wire, wire.makefile("rb") as answer:
        while answer.readline().strip():
            pass
        time.sleep(1.5)
        while chunk := answer.read(64 * 1024):
            digest.update(chunk)
            size += len(chunk)
    expected = bytes(range(256)) * 4096 * 96
    assert size == len(expected)
    assert digest.digest() == hashlib.sha256(expected).digest()

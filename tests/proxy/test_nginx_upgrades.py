"""WebSockets and other upgrades through a real nginx with our configuration."""

from __future__ import annotations

import dataclasses
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from swiftdeploy_tasks.manifest.model import Manifest
from swiftdeploy_tasks.proxy.probe import until
from tests.e2e import apps
from tests.e2e.wire import Upgraded, ask, status
from tests.ports import free_ports
from tests.proxy import accepted
from tests.proxy.real_nginx import serving


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Manifest]:
    public, operator, app_port = free_ports(3)
    asked = accepted(
        {
            "services": {"image": "shop:1", "port": 3000},
            "nginx": {
                "image": "nginx",
                "port": public,
                "operator_port": operator,
                "proxy_timeout": 1,
                "body_size": "1m",
                "routes": [{"path": "/small", "body_size": "1k"}, {"path": "/large", "body_size": "2m"}],
            },
        }
    )
    own = {"APP_HOST": "127.0.0.1", "APP_PORT": str(app_port), "APP_VERSION": "1"}
    app = subprocess.Popen([sys.executable, "-c", apps.SOCKETS], env={**os.environ, **own})
    try:
        assert until(lambda: status(app_port, "/") == 200, seconds=20)
        with serving(tmp_path_factory.mktemp("nginx"), asked, app_port=app_port):
            yield asked
    finally:
        app.kill()
        app.wait()


@pytest.mark.parametrize("path", ["/ws", "/a/b?c=%2Fd", "/ws%20x"])
def test_an_upgraded_connection_carries_lines_both_ways(shop: Manifest, path: str) -> None:
    with Upgraded(shop.nginx.port, path) as held:
        assert held.status == 101
        assert [held.say("one"), held.say("two")] == [f"1 {path} one", f"1 {path} two"]


def test_the_operator_port_upgrades_too(shop: Manifest) -> None:
    with Upgraded(shop.nginx.operator_port, "/slots/blue/ws", Host="127.0.0.1") as held:
        assert (held.status, held.say("one")) == (101, "1 /ws one")


def test_a_socket_may_be_silent_for_longer_than_an_answer_may_take(shop: Manifest) -> None:
    with Upgraded(shop.nginx.port) as held:
        assert held.stays_open(2.5 * shop.nginx.proxy_timeout)
        assert held.say("late") == "1 /ws late"


def test_an_ordinary_request_asks_for_no_upgrade_and_keeps_the_connection(shop: Manifest) -> None:
    assert ask(shop.nginx.port, "/").body == b"(None, None)"


@pytest.mark.parametrize("connection", ["upgrade", "keep-alive, Upgrade", "UPGRADE , x", "close,\tupgrade"])
def test_an_upgrade_may_stand_among_other_tokens_of_connection(shop: Manifest, connection: str) -> None:
    with Upgraded(shop.nginx.port, Connection=connection) as held:
        assert (held.status, held.say("one")) == (101, "1 /ws one")


@pytest.fixture(scope="module")
def mute(shop: Manifest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Manifest]:
    """A service whose app accepts connections and answers nothing."""
    public, operator = free_ports(2)
    nginx = dataclasses.replace(shop.nginx, port=public, operator_port=operator)
    asked = dataclasses.replace(shop, nginx=nginx)
    with socket.create_server(("127.0.0.1", 0), backlog=64) as app:
        folder = tmp_path_factory.mktemp("mute")
        with serving(folder, asked, app_port=app.getsockname()[1], up=504):
            yield asked


@pytest.mark.parametrize(
    ("method", "connection"),
    [
        ("GET", "keep-alive"),
        ("GET", "upgrades"),
        ("GET", "no-upgrade, close"),
        ("GET", "upgrade x"),
        ("POST", "Upgrade"),
        ("PUT", "keep-alive, Upgrade"),
    ],
)
def test_what_is_no_upgrade_has_the_time_out_of_an_answer(
    mute: Manifest, method: str, connection: str
) -> None:
    headers = {"Upgrade": "websocket", "Connection": connection}
    assert status(mute.nginx.port, "/", method=method, headers=headers, timeout=10) == 504


def test_an_upgrade_has_a_longer_time_out_than_an_answer(mute: Manifest) -> None:
    headers = {"Upgrade": "websocket", "Connection": "Upgrade"}
    assert status(mute.nginx.port, "/", headers=headers, timeout=2.5 * mute.nginx.proxy_timeout) is None


@pytest.mark.parametrize("protocol", ["h2c", "H2C", "websocket, h2c"])
def test_http_2_in_the_clear_is_not_offered_to_the_app(shop: Manifest, protocol: str) -> None:
    headers = {"Upgrade": protocol, "Connection": "Upgrade, HTTP2-Settings"}
    assert ask(shop.nginx.port, "/", headers=headers).body == b"(None, None)"


def test_a_private_path_is_not_upgraded(shop: Manifest) -> None:
    headers = {"Upgrade": "websocket", "Connection": "Upgrade"}
    assert status(shop.nginx.port, "/metrics", headers=headers) == 403
    assert status(shop.nginx.port, "/swiftdeploy/upgrade") == 404


@pytest.mark.parametrize(
    ("path", "size", "is_refused"),
    [("/small", 2 << 10, True), ("/", 2 << 10, False), ("/", 2 << 20, True), ("/large", 3 << 19, False)],
)
def test_a_request_for_an_upgrade_has_the_bound_of_its_path(
    shop: Manifest, path: str, size: int, is_refused: bool
) -> None:
    headers = {"Upgrade": "tcp", "Connection": "Upgrade", "Transfer-Encoding": "chunked"}
    body = b"%x\r\n%s\r\n0\r\n\r\n" % (size, b"x" * size)
    code = status(shop.nginx.port, path, method="POST", headers=headers, body=body)
    assert (code == 413) is is_refused


def test_an_upgrade_while_the_app_is_gone_is_502_in_json(shop: Manifest, tmp_path: Path) -> None:
    public, operator, closed = free_ports(3)
    nginx = dataclasses.replace(shop.nginx, port=public, operator_port=operator)
    with serving(tmp_path, dataclasses.replace(shop, nginx=nginx), app_port=closed, up=502):
        answer = ask(public, "/ws", headers={"Upgrade": "websocket", "Connection": "Upgrade"})
        assert status(public, "/large", method="POST", body=bytes(3 << 19)) == 502
    assert (answer.status, answer.json()["code"]) == (502, 502)

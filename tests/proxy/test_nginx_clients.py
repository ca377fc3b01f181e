"""What an app sees of its client through a real nginx, and what a client cannot forge."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from swiftdeploy_tasks.manifest.model import Manifest
from swiftdeploy_tasks.proxy import configuration
from tests.e2e.wire import Answer, ask, send
from tests.ports import free_ports
from tests.proxy import accepted
from tests.proxy.real_nginx import serving

FORGED = {
    "X-Forwarded-For": "203.0.113.9",
    "X-Real-IP": "203.0.113.9",
    "X-Forwarded-Proto": "https",
    **dict.fromkeys(configuration.DROPPED, "evil"),
}


class _Headers(BaseHTTPRequestHandler):
    """Answers with the headers of the request as JSON, in lower case."""

    def do_GET(self) -> None:
        body = json.dumps({name.lower(): value for name, value in self.headers.items()}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def app_port() -> Iterator[int]:
    app = ThreadingHTTPServer(("127.0.0.1", 0), _Headers)
    threading.Thread(target=app.serve_forever, daemon=True).start()
    yield app.server_port
    app.shutdown()
    app.server_close()


def manifest(**nginx: Any) -> Manifest:
    public, operator = free_ports(2)
    return accepted(
        {
            "services": {"image": "shop:1", "port": 3000},
            "nginx": {"image": "nginx", "port": public, "operator_port": operator, **nginx},
        }
    )


def seen(port: int, headers: dict[str, str]) -> dict[str, str]:
    """What the app sees of a request with these headers."""
    answer = ask(port, "/", headers=headers)
    assert answer.status == 200
    return answer.json()


def facts(found: dict[str, str]) -> tuple[str, str, str]:
    return found["x-real-ip"], found["x-forwarded-for"], found["x-forwarded-proto"]


def test_a_client_forges_neither_its_address_nor_its_scheme(tmp_path: Path, app_port: int) -> None:
    asked = manifest()
    with serving(tmp_path, asked, app_port=app_port):
        found = seen(asked.nginx.port, FORGED)
    assert facts(found) == ("127.0.0.1", "127.0.0.1", "http")
    assert "evil" not in found.values()


def test_a_client_outside_the_trusted_networks_cannot_forge_its_address(
    tmp_path: Path, app_port: int
) -> None:
    asked = manifest(trusted_proxies=["10.0.0.0/8", "2001:db8::/32"])
    with serving(tmp_path, asked, app_port=app_port):
        found = seen(asked.nginx.port, FORGED)
    assert facts(found) == ("127.0.0.1", "127.0.0.1", "http")
    assert "evil" not in found.values()


@pytest.mark.parametrize(
    ("sent", "client"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("6.6.6.6, 203.0.113.9", "203.0.113.9"),
        ("6.6.6.6, 203.0.113.9, 10.1.2.3", "203.0.113.9"),
        ("6.6.6.6, 2001:db8:1::7, 10.1.2.3, 2001:db8:ffff::1", "2001:db8:1::7"),
        ("203.0.113.9:4711", "203.0.113.9"),
        ("[2001:db8:1::7]:4711", "2001:db8:1::7"),
        ("203.0.113.9, unknown", "127.0.0.1"),
        ("", "127.0.0.1"),
    ],
)
def test_a_trusted_proxy_names_the_client(trusting: Manifest, sent: str, client: str) -> None:
    found = seen(trusting.nginx.port, FORGED | {"X-Forwarded-For": sent})
    assert facts(found) == (client, client, "https")
    assert "evil" not in found.values()


@pytest.mark.parametrize("scheme", ["", "ftp", "https, http", "HTTPS,"])
def test_an_unknown_scheme_of_a_trusted_proxy_is_ignored(trusting: Manifest, scheme: str) -> None:
    assert seen(trusting.nginx.port, {"X-Forwarded-Proto": scheme})["x-forwarded-proto"] == "http"


@pytest.fixture(scope="module")
def trusting(tmp_path_factory: pytest.TempPathFactory, app_port: int) -> Iterator[Manifest]:
    proxies = ["127.0.0.1", "10.0.0.0/8", "2001:db8:ffff::/48"]
    asked = manifest(trusted_proxies=proxies)
    with serving(tmp_path_factory.mktemp("nginx"), asked, app_port=app_port):
        yield asked


def test_a_trusted_proxy_cannot_name_a_client_on_the_operator_port(trusting: Manifest) -> None:
    path = "/slots/blue/"
    found = ask(trusting.nginx.operator_port, path, headers={"X-Forwarded-For": "203.0.113.9"})
    assert facts(found.json()) == ("127.0.0.1", "127.0.0.1", "http")


@pytest.mark.parametrize(("proxies", "client"), [(["::1/128"], "203.0.113.9"), (["127.0.0.1"], "::1")])
def test_an_ipv6_client_is_trusted_only_in_a_trusted_network(
    tmp_path: Path, app_port: int, proxies: list[str], client: str
) -> None:
    asked = manifest(trusted_proxies=proxies)
    line = b"GET / HTTP/1.1\r\nHost: shop\r\nX-Forwarded-For: 203.0.113.9\r\nConnection: close\r\n\r\n"
    with (
        serving(tmp_path, asked, app_port=app_port, address="[::1]"),
        socket.create_connection(("::1", asked.nginx.port), timeout=10) as wire,
    ):
        wire.sendall(line)
        with wire.makefile("rb") as answer:
            found = json.loads(answer.read().partition(b"\r\n\r\n")[2])
    assert facts(found)[:2] == (client, client)


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory, app_port: int) -> Iterator[Manifest]:
    asked = manifest(hosts=["shop.example.com", "*.example.org"], routes=[{"path": "/upload"}])
    with serving(tmp_path_factory.mktemp("nginx"), asked, app_port=app_port, host="shop.example.com"):
        yield asked


@pytest.mark.parametrize(
    "host",
    ["shop.example.com", "SHOP.example.com:8080", "shop.example.com.", "a.example.org", "a.b.example.org:1"],
)
@pytest.mark.parametrize("path", ["/", "/upload/x"])
def test_a_listed_host_is_served(named: Manifest, path: str, host: str) -> None:
    answer = ask(named.nginx.port, path, headers={"Host": host})
    assert (answer.status, answer.json()["host"]) == (200, host)


def misdirected(answer: Answer) -> bool:
    assert answer.all("X-Deployed-By") == ["swiftdeploy"]
    assert answer.all("Content-Type") == ["application/json"]
    return answer.status == answer.json()["code"] == 421 and len(answer.json()) == 4


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "example.org",
        "shop.example.com.evil.example",
        "shopXexample.com",
        "127.0.0.1",
        "xshop.example.com",
    ],
)
@pytest.mark.parametrize("path", ["/", "/upload/x"])
def test_another_host_is_421_in_json(named: Manifest, path: str, host: str) -> None:
    assert misdirected(ask(named.nginx.port, path, headers={"Host": host}))
    upgrade = {"Host": host, "Upgrade": "websocket", "Connection": "Upgrade"}
    assert misdirected(ask(named.nginx.port, path, headers=upgrade))


def test_the_host_header_counts_and_not_the_one_in_the_request_line(named: Manifest) -> None:
    line = b"GET http://shop.example.com/ HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n"
    assert misdirected(send(named.nginx.port, line))
    assert misdirected(send(named.nginx.port, b"GET / HTTP/1.0\r\n\r\n"))


def test_a_malformed_request_stays_400(named: Manifest) -> None:
    answer = send(named.nginx.port, b"GET / HTTP/1.1\r\n\r\n")
    assert (answer.status, answer.json()["code"]) == (400, 400)

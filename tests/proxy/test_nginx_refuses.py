"""What a real nginx with our configuration keeps from the app: private paths, and requests of other sites."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from swiftdeploy_tasks.manifest.model import Manifest
from swiftdeploy_tasks.proxy.private_paths import is_private
from tests.e2e.wire import Answer, send
from tests.ports import free_ports
from tests.proxy import accepted
from tests.proxy.real_nginx import serving

PRIVATE = ["/metrics", "/admin/Kiosk", "/.env"]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Manifest]:
    public, operator = free_ports(2)
    asked = accepted(
        {
            "services": {"image": "shop:1", "port": 3000},
            "nginx": {"image": "nginx", "port": public, "operator_port": operator, "private": PRIVATE},
            "network": {"name": "net", "driver_type": "bridge"},
        }
    )
    with serving(tmp_path_factory.mktemp("nginx"), asked):
        yield asked


def target(port: int, line: bytes) -> Answer:
    return send(port, b"GET " + line + b" HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n")


@pytest.mark.parametrize(
    "line",
    [
        b"/metrics",
        b"/METRICS",
        b"/Metrics/",
        b"/metrics/a",
        b"/metrics?a=b",
        b"/metrics#a",
        b"/%6detrics",
        b"/%4D%45TRICS",
        b"/metrics%2f",
        b"/metrics%2Fa",
        b"//metrics",
        b"///METRICS//a",
        b"/./metrics",
        b"/%2e/metrics",
        b"/x/../metrics",
        b"/x/..//metrics",
        b"/x/%2e%2e/metrics",
        b"/x%2f..%2fmetrics",
        b"/#/../metrics",
        b"/metrics/../x",
        b"/metrics/..",
        b"/metrics;x",
        b"/metrics;x=y/z",
        b"/;x/metrics",
        b"/x/..;/metrics",
        b"/x/..;y/metrics",
        b"/.;/metrics",
        b"\\metrics",
        b"/\\metrics",
        b"/x\\..\\metrics",
        b"/x/..%5cmetrics",
        b"/%5cmetrics",
        b"/metrics\\",
        b"/metrics.",
        b"/metrics%2e",
        b"/metrics%20",
        b"/metrics%20.",
        b"/metrics%09",
        b"/metrics%0a",
        b"/metrics%00",
        b"/metrics%2500",
        b"/metrics%3fx",
        b"/metrics%253bx",
        b"/%256detrics",
        b"/%25256Detrics",
        b"/%2525252525256detrics",
        b"/%252fmetrics",
        b"/x/%252e%252e/metrics",
        b"/x%252f%252e%252e%252fmetrics",
        b"/metric%C5%BF",
        b"/metr\xc4\xb1cs",
        b"/admin/kiosk",
        b"/ADMIN/KIOSK/a",
        b"/admin;x/kiosk",
        b"/admin/./kiosk",
        b"/admin//kiosk",
        b"/admin%2fkiosk",
        b"/admin/x/../kiosk",
        b"/admin/%E2%84%AAiosk",
        b"/.ENV",
        b"/./.env",
        b"/%2eenv",
        b"http://shop/METRICS",
        b"HTTP://shop//%6detrics",
    ],
)
def test_a_private_path_is_kept_from_the_app_however_it_is_written(shop: Manifest, line: bytes) -> None:
    answer = target(shop.nginx.port, line)
    assert answer.status in {400, 403}, answer.body
    assert (answer.status == 400) <= (b"%00" in line or not line.startswith((b"/", b"http", b"HTTP")))
    said = json.loads(answer.body)
    assert (said["code"], answer.all("Content-Type")) == (answer.status, ["application/json"])
    if answer.status == 403:
        assert said["error"] in {f"private: {path} is not served on the public port" for path in PRIVATE}
        assert answer.all("X-Deployed-By") == ["swiftdeploy"]


@pytest.mark.parametrize(
    "line",
    [
        b"/",
        b"/metric",
        b"/metricsandmore",
        b"/metrics-2",
        b"/metrics.json",
        b"/metrics%41",
        b"/metrics_",
        b"/metricx",
        b"/x/metrics",
        b"/x/../y/metrics",
        b"/x%2fmetrics",
        b"/?p=/metrics",
        b"/?p=/../metrics",
        b"/x;/metrics",
        b"/x/...;/y",
        b"/x/..y/z",
        b"/admin",
        b"/admin/",
        b"/admin/x/kiosk",
        b"/adminkiosk",
        b"/xenv",
        b"/env",
        b"/..%41/metrics",
        b"/%252",
        b"/swiftdeploy",
    ],
)
def test_every_other_path_reaches_the_app_unchanged(shop: Manifest, line: bytes) -> None:
    answer = target(shop.nginx.port, line)
    assert (answer.status, answer.body) == (200, line)


@pytest.mark.parametrize(
    "line", [b"/admin/x/..;/kiosk", b"/admin/x/%252e%252e/kiosk", b"/admin/x\\..\\kiosk", b"/x/y\\..\\.."]
)
def test_a_parent_segment_that_nginx_does_not_resolve_is_malformed(shop: Manifest, line: bytes) -> None:
    answer = target(shop.nginx.port, line)
    assert (answer.status, json.loads(answer.body)["code"]) == (400, 400)


@pytest.mark.parametrize("name", [b"X-Original-URL", b"x-rewrite-url"])
def test_no_header_names_another_path_than_the_request_line(shop: Manifest, name: bytes) -> None:
    line = b"GET / HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n" + name + b": /metrics\r\n\r\n"
    assert send(shop.nginx.port, line).body == b"/"


@pytest.mark.parametrize("unit", [b"/..", b"/..;", b"/.;x", b"/;x", b"//", b"%2f%2e%2e", b"/metric", b"%25"])
def test_a_long_request_line_is_judged_at_once(shop: Manifest, unit: bytes) -> None:
    line = b"/x" + unit * (7000 // len(unit)) + b"/x"
    answer = send(
        shop.nginx.port, b"GET " + line + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", timeout=2
    )
    assert answer.status in {200, 400}
    assert target(shop.nginx.port, line + b"/../metrics").status in {400, 403}


@pytest.mark.parametrize(
    "path", ["/metrics", "/METRICS/", "//metrics/x", "/metrics./x", "/.env", "/admin/kiosk"]
)
def test_a_health_path_is_known_as_private_as_nginx_knows_it(shop: Manifest, path: str) -> None:
    assert is_private(path, PRIVATE)
    assert target(shop.nginx.port, path.encode()).status == 403


@pytest.mark.parametrize("path", ["/metricsx", "/x/metrics", "/metrics.x", "/admin"])
def test_a_health_path_is_known_as_public_as_nginx_knows_it(shop: Manifest, path: str) -> None:
    assert not is_private(path, PRIVATE)
    assert target(shop.nginx.port, path.encode()).status == 200


def operator(
    asked: Manifest,
    *headers: str,
    method: str = "POST",
    path: str = "/slots/blue/chaos",
    name: str = "127.0.0.1",
) -> int:
    lines = [f"{method} {path} HTTP/1.1", f"Host: {name}:{asked.nginx.operator_port}", *headers]
    text = "\r\n".join([*lines, "Content-Length: 0", "Connection: close", "", ""])
    return send(asked.nginx.operator_port, text.encode()).status


@pytest.mark.parametrize(
    "headers",
    [
        ["Origin: http://evil.example"],
        ["Origin: null"],
        ["Origin:  http://localhost:3000"],
        ["Origin: http://127.0.0.1"],
        ["Sec-Fetch-Site: cross-site"],
        ["Sec-Fetch-Site: same-site"],
        ["Sec-Fetch-Site: cross-site", "Sec-Fetch-Site: none"],
        ["Origin: http://evil.example", "Sec-Fetch-Site: same-origin"],
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
@pytest.mark.parametrize("path", ["/slots/blue/chaos", "/generation"])
def test_the_operator_port_refuses_what_a_page_of_another_site_asks(
    shop: Manifest, headers: list[str], method: str, path: str
) -> None:
    assert operator(shop, *headers, method=method, path=path) == 403


def test_the_operator_port_refuses_two_origins_of_which_one_is_its_own(shop: Manifest) -> None:
    own = f"Origin: http://127.0.0.1:{shop.nginx.operator_port}"
    assert operator(shop, own, "Origin: http://evil.example") == 403
    assert operator(shop, own + "|http://evil.example") == 403


def test_the_operator_port_serves_a_shell_and_its_own_pages(shop: Manifest) -> None:
    port = shop.nginx.operator_port
    assert operator(shop) == operator(shop, "Sec-Fetch-Site: none", method="GET") == 200
    for name in ("127.0.0.1", "localhost"):
        own = f"Origin: http://{name}:{port}"
        assert operator(shop, own, name=name) == 200
        assert operator(shop, own, "Sec-Fetch-Site: same-origin", name=name) == 200

"""What a deployed project answers, as its users and its operator see it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.e2e.project import Project, make, until
from tests.e2e.wire import send, status

KEYS = {"error", "code", "service", "contact"}


def test_the_app_answers_on_the_public_port(deployed: Project) -> None:
    answer = deployed.get("/")
    assert answer.status == 200
    assert {k: answer.json()[k] for k in ("mode", "version")} == {"mode": "stable", "version": "1.0.0"}


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [
        ("GET", "/", 200),
        ("HEAD", "/", 200),
        ("GET", "/no-such-page", 404),
        ("DELETE", "/", 405),
        ("GET", "/metrics", 403),
    ],
)
def test_every_answer_says_once_who_deployed(deployed: Project, method: str, path: str, code: int) -> None:
    answer = deployed.get(path, method=method)
    assert (answer.status, answer.all("X-Deployed-By")) == (code, ["swiftdeploy"])
    assert answer.all("X-Mode") == []


def test_a_body_that_is_too_large_is_413_and_says_who_deployed(deployed: Project) -> None:
    reply = send(
        deployed.port, b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99000000\r\nConnection: close\r\n\r\n"
    )
    assert (reply.status, reply.all("X-Deployed-By")) == (413, ["swiftdeploy"])


@pytest.mark.parametrize(
    "request_",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
    ],
    ids=["no host", "broken escape", "two hosts"],
)
def test_a_malformed_request_is_400_and_says_who_deployed(deployed: Project, request_: bytes) -> None:
    reply = send(deployed.port, request_)
    assert (reply.status, reply.all("X-Deployed-By")) == (400, ["swiftdeploy"])


@pytest.mark.parametrize(
    "path",
    [
        "/metrics",
        "/METRICS",
        "/metrics/a",
        "/metrics;x",
        "/%6detrics",
        "/%256Detrics",
        "//metrics",
        "/x/../metrics",
        "/metrics/../x",
        "/\\metrics",
    ],
)
def test_a_private_path_is_refused_however_it_is_written(deployed: Project, path: str) -> None:
    answer = deployed.get(path)
    assert answer.status == 403
    assert answer.all("Content-Type") == ["application/json"]
    assert set(answer.json()) == KEYS
    assert (answer.json()["code"], answer.json()["service"]) == (403, deployed.name)
    assert answer.json()["contact"] == "desk@example.org"
    assert "/metrics" in answer.json()["error"]


def test_a_path_that_only_begins_like_a_private_one_reaches_the_app(deployed: Project) -> None:
    assert deployed.get("/metricsandmore").status == 404


def test_the_access_log_has_the_agreed_form(deployed: Project) -> None:
    deployed.get("/log-me?a=1")
    form = r"\S+T\S+ \| 404 \| \d+\.\d+s \| [\d.]+:\d+ \| GET /log-me\?a=1 HTTP/1\.1"
    until(
        lambda: any(re.fullmatch(form, line) for line in deployed.access_log()), "the request is in the log"
    )


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_the_operator_port_tells_the_generation_and_reaches_the_slot(deployed: Project, host: str) -> None:
    headers = {"Host": f"{host}:{deployed.operator_port}"}
    generation = deployed.operator("/generation", headers=headers)
    assert generation.status == 200
    assert "blue=100" in generation.body.decode()
    health = deployed.operator("/slots/blue/healthz", headers=headers)
    assert (health.status, health.json()["status"]) == (200, "ok")
    assert b"http_requests_total" in deployed.operator("/slots/blue/metrics", headers=headers).body


@pytest.mark.parametrize("headers", [{"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}])
def test_the_operator_port_takes_no_change_from_a_page_of_another_site(
    deployed: Project, headers: dict[str, str]
) -> None:
    asked = {"method": "POST", "body": b'{"mode": "recover"}'}
    foreign = deployed.operator("/slots/blue/chaos", headers=headers, **asked)
    assert (foreign.status, foreign.all("Content-Type")) == (403, ["text/html"])
    assert deployed.operator("/slots/blue/chaos", **asked).all("Content-Type") == ["application/json"]


@pytest.mark.parametrize("host", ["example.org", "127.0.0.1.example.org", "10.0.0.1", "[::1]"])
def test_the_operator_port_answers_no_other_host(deployed: Project, host: str) -> None:
    assert status(deployed.operator_port, "/generation", headers={"Host": host}) in {None, 403, 404, 421}
    assert status(deployed.operator_port, "/slots/blue/healthz", headers={"Host": host}) in {None, 403, 404}


def test_an_empty_slot_is_502_and_an_unknown_one_404(deployed: Project) -> None:
    assert deployed.operator("/slots/green/healthz").status == 502
    assert deployed.operator("/slots/red/healthz").status == 404


def test_the_app_itself_publishes_nothing(deployed: Project) -> None:
    if deployed.engine == "docker":
        assert not deployed.inspect("app-blue")["HostConfig"]["PortBindings"]
    else:
        import psutil

        pid = deployed.processes()["app-blue"]
        listens = [c.laddr.ip for c in psutil.Process(pid).net_connections() if c.status == "LISTEN"]
        assert listens == ["127.0.0.1"]


def test_a_dead_app_is_a_502_that_says_whom_to_write_to(deployed: Project) -> None:
    """The last test of this file: it kills what the others look at."""
    if deployed.engine == "docker":
        from tests.e2e.project import docker

        docker("stop", "-t", "5", f"{deployed.name}-app-blue")
    else:
        deployed.kill("app-blue")
    until(lambda: status(deployed.port, "/") == 502, "the public port answers 502")
    answer = deployed.get("/")
    assert set(answer.json()) == KEYS
    assert (answer.json()["code"], answer.json()["contact"]) == (502, "desk@example.org")
    assert answer.all("X-Deployed-By") == ["swiftdeploy"]
    assert answer.all("Content-Type") == ["application/json"]


@pytest.mark.parametrize("part", ["", "operator_"])
def test_the_error_for_a_port_that_another_project_s_nginx_holds_names_that_project(
    deployed: Project, tmp_path: Path, part: str
) -> None:
    held = deployed.operator_port if part else deployed.port
    neighbour = make(tmp_path, deployed.engine, **{f"nginx__{part}port": held})
    refused = neighbour.run("validate", "--json")
    assert refused.code == 2
    (check,) = [check for check in refused.document()["checks"] if check["name"] == "port"]
    assert f"port {held}: held by the " in check["message"]
    assert f" of the project whose state is {deployed.state}" in check["message"]

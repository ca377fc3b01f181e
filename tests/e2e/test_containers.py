"""What a container of ours may do and whom it reaches, as the engine has it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.project import Project, docker, make, until, used
from tests.lab import require

PARTS = ["nginx", "opa", "app-blue"]
USERS = {"nginx": "101:101", "opa": "1000:1000", "app-blue": "10001:10001"}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    require("docker")
    for project in used(
        make(tmp_path_factory.mktemp("e2e"), "docker", services__resources={"cpus": 0.5, "memory": "96m"})
    ):
        project.deploy()
        yield project


_ASK = """
import json, sys, urllib.request
found = {}
for url, host in json.load(sys.stdin):
    request = urllib.request.Request(url, headers={"Host": host} if host else {})
    try:
        with urllib.request.urlopen(request, timeout=2) as answer:
            found[url + " " + host] = answer.status
    except urllib.error.HTTPError as error:
        found[url + " " + host] = error.code
    except Exception as error:
        found[url + " " + host] = type(error).__name__
print(json.dumps(found))
"""


def _ask_from_the_app(project: Project, questions: list[tuple[str, str]]) -> dict[str, Any]:
    said = docker(
        "exec", "-i", f"{project.name}-app-blue", "python3", "-c", _ASK, input=json.dumps(questions)
    )
    found: dict[str, Any] = json.loads(said)
    return found


def _address(project: Project, part: str, key: str) -> str:
    networks = project.inspect(part)["NetworkSettings"]["Networks"]
    assert len(networks) == 1, networks
    return str(next(iter(networks.values()))[key])


def test_the_app_reaches_neither_opa_nor_the_operator_port(stack: Project) -> None:
    opa_hosts = [f"{stack.name}-opa", "opa", _address(stack, "opa", "IPAddress")]
    gateways = [_address(stack, part, "Gateway") for part in ("app-blue", "opa")]
    nginx_hosts = [f"{stack.name}-nginx", "nginx", _address(stack, "nginx", "IPAddress")]
    hosts = ["", "127.0.0.1", "localhost"]
    asked = [(f"http://{host}:8181/health", "") for host in opa_hosts]
    asked += [(f"http://{gateway}:{stack.opa_port}/health", "") for gateway in gateways]
    asked += [
        (f"http://{to}:{stack.operator_port}{path}", host)
        for to in [*nginx_hosts, gateways[0]]
        for host in hosts
        for path in ("/generation", "/slots/blue/healthz")
    ]
    public = [(f"http://{host}:{stack.port}/", "") for host in nginx_hosts]
    found = _ask_from_the_app(stack, [*asked, *public])
    assert {found[f"{url} "] for url, _ in public} == {200}
    answered = {
        question: got
        for url, host in asked
        if isinstance(got := found[question := f"{url} {host}"], int) and got not in {403, 404, 421}
    }
    assert not answered, answered


def test_opa_is_alone_on_its_network(stack: Project) -> None:
    members = json.loads(docker("network", "inspect", f"{stack.name}-opa"))[0]["Containers"].values()
    assert [member["Name"] for member in members] == [f"{stack.name}-opa"]


@pytest.mark.parametrize("part", PARTS)
def test_each_container_is_hardened(stack: Project, part: str) -> None:
    found = stack.inspect(part)
    host = found["HostConfig"]
    assert found["Config"]["User"] == USERS[part]
    assert host["ReadonlyRootfs"] is True
    assert host["CapDrop"] == ["ALL"]
    assert not host["CapAdd"]
    assert not host["Privileged"]
    assert host["SecurityOpt"] == ["no-new-privileges:true"]
    assert 0 < host["PidsLimit"] <= 4096
    assert host["Init"] is True
    assert 0 < host["Memory"] <= 512 * 2**20
    # nginx has a worker for each core, unless nginx.resources.cpus says how many it gets.
    assert (host["NanoCpus"] == 0) if part == "nginx" else (0 < host["NanoCpus"] <= 2e9)
    assert host["RestartPolicy"]["Name"] == "unless-stopped"
    assert host["LogConfig"]["Type"] == "json-file"
    assert set(host["LogConfig"]["Config"]) == {"max-size", "max-file"}
    assert found["Config"]["Labels"]["swiftdeploy.project"] == stack.name
    assert found["Config"]["Labels"]["swiftdeploy.home"] == str(stack.state)
    assert "Healthcheck" in found["Config"]


def test_the_app_has_the_resources_that_the_manifest_gives(stack: Project) -> None:
    host = stack.inspect("app-blue")["HostConfig"]
    assert (host["Memory"], host["NanoCpus"]) == (96 * 2**20, 500_000_000)


def test_a_slot_carries_its_release_without_secrets(stack: Project) -> None:
    labels = stack.inspect("app-blue")["Config"]["Labels"]
    assert {k: labels[f"swiftdeploy.{k}"] for k in ("slot", "mode", "version")} == {
        "slot": "blue",
        "mode": "stable",
        "version": "1.0.0",
    }
    assert json.loads(labels["swiftdeploy.release"])["version"] == "1.0.0"


def test_only_the_public_port_is_open_to_others(stack: Project) -> None:
    bound = {
        part: {
            b["HostIp"] or "0.0.0.0"
            for held in (stack.inspect(part)["HostConfig"]["PortBindings"] or {}).values()
            for b in held
            if int(b["HostPort"]) != stack.port
        }
        for part in PARTS
    }
    assert bound == {"nginx": {"127.0.0.1"}, "opa": {"127.0.0.1"}, "app-blue": set()}


def test_the_app_and_nginx_write_to_the_log_volume(stack: Project) -> None:
    folder = "/var/log/swiftdeploy"
    code = f"open('{folder}/app.log', 'w').write('a line of the app')"
    docker("exec", f"{stack.name}-app-blue", "python3", "-c", code)
    stack.get("/in-the-volume")
    until(
        lambda: "GET /in-the-volume" in docker("exec", f"{stack.name}-nginx", "sh", "-c", f"cat {folder}/*"),
        "nginx's line is in the volume",
    )
    assert "a line of the app" in docker("exec", f"{stack.name}-nginx", "cat", f"{folder}/app.log")

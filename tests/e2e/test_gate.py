"""Nothing starts that the policies did not allow; an unavailable policy engine refuses."""

from __future__ import annotations

import secrets
import shutil
import socket
from collections.abc import Callable, Iterator

import pytest

from tests.e2e.project import SOURCE, Project, docker, pause
from tests.lab import IMAGES, require

GATES = [("local", "embedded"), ("local", "server"), ("docker", "server")]


@pytest.fixture(params=GATES, ids="-".join)
def gated(request: pytest.FixtureRequest, new_project: Callable[..., Project]) -> Project:
    """A project on each engine with each answerer that it can have."""
    engine, gate = request.param
    if gate == "server" and engine == "local":
        require("opa")
    return new_project(engine, gate=gate)


def test_more_free_disk_than_there_is_refuses_and_starts_nothing(gated: Project) -> None:
    gated.set(policy__infrastructure__min_disk_free_gb=9_000_000)
    ended = gated.run("deploy", "--json")
    document = ended.document()
    assert (ended.code, document["task"], document["error"]["kind"]) == (3, "policy-check", "PolicyRefused")
    checks = {
        check["rule"]: check
        for verdict in document["verdicts"]
        if verdict["domain"] == "infrastructure"
        for check in verdict["checks"]
    }
    disk = checks.pop("min_disk_free_gb")
    assert disk["passed"] is False
    assert disk["limit"] == 9_000_000
    assert 0 < disk["observed"] < 9_000_000
    assert {check["passed"] for check in checks.values()} == {True}
    said = ended.err
    assert "disk" in said
    assert str(disk["observed"]) in said
    assert "9000000" in said.replace(",", "").replace("9e+06", "9000000")
    assert "\nnext: " in said
    assert gated.left() == []


def test_a_policy_check_alone_allows_and_leaves_nothing(gated: Project) -> None:
    document = gated.run("policy-check", "--json").ok().document()
    assert [verdict["domain"] for verdict in document["verdicts"]] == ["infrastructure", "isolation"]
    server = gated.manifest["gate"] == "server"
    assert {verdict["answered_by"] for verdict in document["verdicts"]} == {"opa" if server else "embedded"}
    assert {verdict["allow"] for verdict in document["verdicts"]} == {True}
    assert gated.left() == []


def test_a_port_of_opa_that_a_stranger_holds_starts_nothing(gated: Project) -> None:
    with socket.create_server(("127.0.0.1", gated.opa_port)):
        if gated.manifest["gate"] == "embedded":
            gated.run("validate").ok()
            return
        ended = gated.run("deploy")
        assert ended.code in {2, 4}, ended.said
        assert str(gated.opa_port) in ended.err
        assert gated.left() == []


@pytest.fixture
def image_that_exits() -> Iterator[str]:
    require("docker")
    name = f"e2e-opa-that-exits-{secrets.token_hex(4)}:latest"
    docker("build", "-q", "-t", name, "-", input=_DOCKERFILE)
    yield name
    docker("rmi", name, check=False)


_SCRIPT = 'test $0 = eval && exec /opa eval \\"$@\\"; echo the licence of this OPA has ended; exit 9'
_DOCKERFILE = f"""
FROM {IMAGES["opa"]} AS opa
FROM {IMAGES["base"]}
COPY --from=opa /opa /opa
ENTRYPOINT ["sh", "-c", "{_SCRIPT}"]
"""


def test_an_opa_that_cannot_start_is_exit_4_and_nothing_starts(
    new_project: Callable[..., Project], image_that_exits: str
) -> None:
    project = new_project("docker", opa__image=image_that_exits)
    ended = project.run("deploy")
    assert ended.code == 4, ended.said
    assert "the licence of this OPA has ended" in ended.err
    assert "\nnext: " in ended.err
    told = [(r["domain"], r["outcome"]) for r in project.history() if r["event"] == "verdict"]
    assert told == [("infrastructure", "unanswered"), ("isolation", "unanswered")]
    assert project.left() == []


def test_an_opa_that_does_not_answer_is_restarted_and_a_deploy_goes_on(
    new_project: Callable[..., Project],
) -> None:
    project = new_project("docker")
    project.deploy()
    pause(f"{project.name}-opa")
    project.set(services__version="2.0.0")
    project.deploy()
    assert project.get("/").json()["version"] == "2.0.0"


def test_a_policy_that_opa_does_not_compile_fails_validate_with_each_gate(gated: Project) -> None:
    shutil.copytree(SOURCE / "policies", gated.root / "policies")
    policy = gated.root / "policies" / "infrastructure.rego"
    policy.write_text(f"{policy.read_text()}\nother if nobody > 1\n")
    ended = gated.run("validate", "--json")
    (found,) = (check for check in ended.document()["checks"] if check["name"] == "policies")
    assert (ended.code, found["passed"]) == (4, False)
    assert "infrastructure.rego:" in found["message"]
    assert "unsafe" in found["message"]


def test_a_policy_in_a_sub_folder_refuses_a_deploy(gated: Project) -> None:
    shutil.copytree(SOURCE / "policies", gated.root / "policies")
    (gated.root / "policies" / "team").mkdir()
    (gated.root / "policies" / "infrastructure.rego").unlink()
    (gated.root / "policies" / "team" / "freeze.rego").write_text(
        'package swiftdeploy.infrastructure # no deploys\n\ndecision := {"allow": false, "checks": [{"rule": '
        '"freeze", "passed": false, "observed": null, "limit": null, "message": "not today"}]}\n'
    )
    ended = gated.run("policy-check", "--json")
    assert ended.code == 3, ended.said
    assert "freeze: not today" in ended.document()["error"]["message"]
    assert gated.left() == []

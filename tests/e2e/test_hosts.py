"""A project with one host: the verbs request the public port with that Host."""

from __future__ import annotations

from tests.e2e.project import Project


def test_a_project_with_one_host_deploys_and_refuses_other_hosts(project: Project) -> None:
    project.set(nginx__hosts=["*.example.com"], services__health={"interval": 0.2, "host": "other.example"})
    project.deploy()
    assert project.get("/", headers={"Host": "shop.example.com"}).status == 200
    refused = project.get("/")
    assert (refused.status, refused.all("X-Deployed-By")) == (421, ["swiftdeploy"])
    assert set(refused.json()) == {"error", "code", "service", "contact"}
    project.set(nginx__hosts=["shop.example.com"])
    project.deploy()
    assert project.get("/", headers={"Host": "shop.example.com"}).status == 200
    assert project.get("/", headers={"Host": "a.example.com"}).status == 421
    assert project.run("plan", "--check").ok()

"""A deploy brings what runs to the manifest, and touches nothing else."""

from __future__ import annotations

from tests.e2e.project import Project
from tests.e2e.wire import status
from tests.ports import free_ports


def _app(project: Project) -> str:
    return next(id for part, id in project.running().items() if part.startswith("app-"))


def test_a_second_deploy_changes_nothing(deployed: Project) -> None:
    before, generation = deployed.running(), deployed.generation()
    ended = deployed.deploy()
    assert (deployed.running(), deployed.generation()) == (before, generation)
    assert "nothing to do" in ended.out
    assert "nothing would change" in deployed.run("plan").ok().out


def test_a_plan_and_a_validate_move_nothing(deployed: Project) -> None:
    before = deployed.running()
    deployed.set(services__version="9.9.9")
    try:
        assert "9.9.9" in deployed.run("plan").ok().out
        deployed.run("validate").ok()
        deployed.run("render").ok()
        assert deployed.running() == before
        assert deployed.get("/").json()["version"] == "1.0.0"
    finally:
        deployed.set(services__version="1.0.0")


def test_a_changed_contact_is_a_reload_and_the_app_stays(deployed: Project) -> None:
    before, generation = deployed.running(), deployed.generation()
    deployed.set(contact="other@example.org")
    steps = deployed.run("plan", "--json").ok().document()["steps"]
    assert [step["target"] for step in steps] == ["nginx"]
    deployed.deploy()
    assert deployed.running() == before
    assert deployed.generation() != generation
    assert deployed.get("/metrics").json()["contact"] == "other@example.org"


def test_changed_ports_move_and_the_app_stays(deployed: Project) -> None:
    app, old = _app(deployed), (deployed.port, deployed.operator_port)
    public, operator = free_ports(2)
    deployed.set(nginx__port=public, nginx__operator_port=operator)
    deployed.deploy()
    assert deployed.get("/").status == 200
    assert deployed.operator("/generation").status == 200
    assert [status(port, "/") for port in old] == [None, None]
    assert _app(deployed) == app
    assert "nothing would change" in deployed.run("plan").ok().out


def test_an_nginx_that_died_is_brought_back_and_the_app_stays(deployed: Project) -> None:
    app = _app(deployed)
    if deployed.engine == "docker":
        from tests.e2e.project import docker

        docker("rm", "-f", f"{deployed.name}-nginx")
    else:
        import psutil

        master = psutil.Process(deployed.processes()["nginx"])
        for process in [master, *master.children()]:
            process.kill()
    deployed.deploy()
    assert deployed.get("/").status == 200
    assert _app(deployed) == app


def test_a_deploy_works_from_a_folder_below(deployed: Project) -> None:
    below = deployed.root / "app"
    before, files = deployed.running(), sorted(below.iterdir())
    deployed.run("deploy", folder=below).ok()
    assert deployed.running() == before
    assert sorted(below.iterdir()) == files

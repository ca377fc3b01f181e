"""Files of a person's in the project's folder: no verb replaces or removes one."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.e2e.project import Project

OWN = {"nginx.conf": "events {}\n", "docker-compose.yml": "services: {db: {image: postgres}}\n"}


def _put(project: Project) -> None:
    for name, text in OWN.items():
        (project.root / name).write_text(text)


def _stand(project: Project) -> bool:
    return {name: (project.root / name).read_text() for name in OWN} == OWN


def test_files_with_the_names_of_ours_stop_every_verb_that_renders_and_are_left(project: Project) -> None:
    _put(project)
    for verb in ("validate", "render", "deploy"):
        document = project.run(verb, "--json").document()
        assert document["exit_code"] == 2, document
        said = f"{document['error']['message']} {document['error']['next']}"
        assert "nginx.conf and docker-compose.yml were not made by SwiftDeploy" in said
        assert "rendered: deploy/" in said
    planned = project.run("plan").ok().said
    assert "deploy would be refused: nginx.conf and docker-compose.yml" in planned
    project.run("teardown", "--clean").ok()
    assert _stand(project)
    assert project.left() == []


def test_with_rendered_ours_lie_in_their_own_folder(new_project: Callable[..., Project]) -> None:
    project = new_project("local", rendered="deploy/")
    _put(project)
    project.deploy()
    folder = project.root / "deploy"
    assert sorted(path.name for path in folder.iterdir()) == sorted(OWN)
    project.run("promote").ok()
    assert "MODE: canary" in (folder / "docker-compose.yml").read_text().replace('"', "")
    assert project.run("plan", "--check").code == 0
    assert _stand(project)
    removed = project.run("teardown", "--clean", "--json").ok().document()["removed"]
    assert {"deploy/nginx.conf", "deploy/docker-compose.yml"} <= set(removed)
    assert list(folder.iterdir()) == []
    assert _stand(project)


def test_a_file_put_there_later_stops_promote_before_anything_moves_and_no_rollback(
    new_project: Callable[..., Project],
) -> None:
    project = new_project("local")
    project.deploy()
    project.set(services__version="2.0.0")
    project.deploy()
    _put(project)
    before = project.running()
    ended = project.run("promote")
    assert ended.code == 2, ended.said
    assert "rendered: deploy/" in ended.said
    assert project.running() == before
    ended = project.run("rollback").ok()
    assert "nginx.conf and docker-compose.yml were not written" in ended.said
    assert project.get("/").json()["version"] == "1.0.0"
    assert _stand(project)


def test_what_was_kept_aside_survives_clean(new_project: Callable[..., Project]) -> None:
    project = new_project("local")
    project.run("render").ok()
    conf, compose = project.root / "nginx.conf", project.root / "docker-compose.yml"
    conf.write_text(conf.read_text() + "# mine, mended\n")
    project.run("render").ok()
    compose.write_text(compose.read_text() + "# mine, not mended yet\n")
    project.run("teardown", "--clean").ok()
    assert not conf.exists()
    assert not compose.exists()
    kept = "".join(path.read_text() for path in (project.state / "edited").iterdir())
    assert "# mine, mended" in kept
    assert "# mine, not mended yet" in kept


@pytest.mark.parametrize("name", ["audit_report.md", "audit_report.html"])
def test_a_report_of_a_person_is_not_replaced(new_project: Callable[..., Project], name: str) -> None:
    project = new_project("local")
    project.run("validate").ok()
    own = project.root / name
    own.write_text("# Audit report of the year\n")
    words = ("audit", "--html") if name.endswith(".html") else ("audit",)
    ended = project.run(*words)
    assert ended.code == 2, ended.said
    assert f"{own} was not made by SwiftDeploy" in ended.said
    assert own.read_text() == "# Audit report of the year\n"
    own.unlink()
    project.run(*words).ok()
    project.run(*words).ok()

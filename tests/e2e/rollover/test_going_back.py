"""Rollback brings back the whole release that was, from what was kept of it, or says why it cannot."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator

import pytest

from tests.e2e.project import Project, docker, make, used
from tests.e2e.rollover import actor
from tests.e2e.rollover.course import alone, see, under_load


def app(marker: str) -> str:
    return actor.PROGRAM.replace(
        'WHO = json.dumps({"version"', f'WHO = json.dumps({{"marker": "{marker}", "version"'
    )


@pytest.fixture(scope="module")
def served(engine: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """Three releases were deployed (two on docker), each of another source; the last one serves."""
    for project in used(make(tmp_path_factory.mktemp("e2e"), engine)):
        for number, marker in enumerate("ab" if engine == "docker" else "abc", 1):
            project.use_app(app(marker))
            project.set(services__version=f"{number}.0.0")
            project.deploy()
        yield project


def marker(project: Project) -> str:
    return str(project.get("/").json()["marker"])


def test_an_unknown_release_is_refused(served: Project) -> None:
    course = alone(served, "rollback", "--to", "ffffffffffff")
    assert course.ended.code == 2, course.ended.said
    assert "--list" in course.document["error"]["next"]
    assert course.after == course.before


def test_what_serves_is_nothing_to_go_back_to(served: Project) -> None:
    rows = served.run("rollback", "--list", "--json").ok().document()["releases"]
    course = alone(served, "rollback", "--to", rows[-1]["release"])
    assert course.ended.code == 2, course.ended.said
    assert course.after == course.before


def test_to_a_release_by_its_id_runs_its_own_source_past_those_in_between(served: Project) -> None:
    """The manifest is of no use meanwhile, and neither is the folder of the source."""
    rows = served.run("rollback", "--list", "--json").ok().document()["releases"]
    manifest = served.root / "manifest.yaml"
    kept = manifest.read_bytes()
    broken = kept.replace(b"port: 3000", b"prot: 3000")
    manifest.write_bytes(broken)
    shutil.rmtree(served.root / "app")
    try:
        course = under_load(served, "rollback", "--to", rows[0]["release"]).went()
        assert manifest.read_bytes() == broken
    finally:
        manifest.write_bytes(kept)
        (served.root / "app").mkdir()
        (served.root / "app" / "main.py").write_text(app("b"))
    assert (marker(served), course.document["version"]) == ("a", "1.0.0")
    assert course.document["release"] == rows[0]["release"]
    assert "services.mode could not be rewritten" in course.ended.err
    rows = served.run("rollback", "--list", "--json").ok().document()["releases"]
    assert [row["rolled_back"] for row in rows] == [False, *[True] * (len(rows) - 1)]
    assert len(rows) > 1


def test_a_release_that_is_gone_is_named_before_anything_moves(served: Project) -> None:
    """The last test of this project: the second release is deployed again and the first one is removed."""
    served.use_app(app("b"))
    served.set(services__version="2.0.0")
    served.run("deploy", "--again").ok()
    rows = served.run("rollback", "--list", "--json").ok().document()["releases"]
    first = rows[0]["release"]
    if served.engine == "docker":
        image = docker("image", "inspect", "-f", "{{.Id}}", f"{served.name}-release:{first}").strip()
        docker("rmi", "-f", image)
    else:
        shutil.rmtree(served.state / "releases" / first)
    course = alone(served, "rollback")
    assert course.ended.code == 2, course.ended.said
    assert first in course.document["error"]["message"]
    assert course.after == course.before
    assert marker(served) == "b"


def test_a_read_only_or_missing_manifest_does_not_bar_the_way_out(
    new_project: Callable[..., Project],
) -> None:
    project = new_project("local", policy__canary={"window": 1, "max_p99_ms": 5000})
    project.deploy()
    project.run("promote").ok()
    manifest = project.root / "manifest.yaml"
    kept = manifest.read_bytes()
    manifest.unlink()
    try:
        ended = project.run("rollback", "--json").ok()
    finally:
        manifest.write_bytes(kept)
    assert "services.mode could not be rewritten" in ended.err
    assert see(project).answer == ("1.0.0", "stable", ())


def test_the_way_out_is_open_where_what_serves_has_died(
    engine: str, new_project: Callable[..., Project]
) -> None:
    project = new_project(engine)
    project.deploy()
    project.set(services__version="2.0.0")
    project.deploy()
    if engine == "docker":
        docker("rm", "-f", f"{project.name}-app-green")
    else:
        project.kill("app-green")
    project.run("rollback").ok()
    assert project.get("/").json()["version"] == "1.0.0"


def test_after_a_rollback_the_release_is_barred_and_a_change_of_nginx_is_not(project: Project) -> None:
    project.deploy()
    project.set(services__version="2.0.0")
    project.deploy()
    project.run("rollback").ok()
    assert project.run("deploy").code == 2
    before = project.running()

    project.set(nginx__private=["/metrics", "/admin"])
    planned = project.run("plan", "--json").ok()
    assert {step["target"] for step in planned.document()["steps"]} == {"nginx"}
    assert "version 1.0.0 stays, and only nginx changes" in planned.err

    changed = project.deploy()
    assert "version 1.0.0 stays, and only nginx changes" in changed.said
    assert (project.get("/admin").status, project.get("/").json()["version"]) == (403, "1.0.0")
    assert project.running() == before

    assert "was last removed by a rollback" in project.run("deploy").err
    project.run("deploy", "--again").ok()
    assert project.get("/").json()["version"] == "2.0.0"

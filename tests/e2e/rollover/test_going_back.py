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
def three(engine: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """Three releases were deployed, each of another source; the last one serves."""
    for project in used(make(tmp_path_factory.mktemp("e2e"), engine)):
        for number, marker in enumerate("abc", 1):
            project.use_app(app(marker))
            project.set(services__version=f"{number}.0.0")
            project.deploy()
        yield project


def marker(project: Project) -> str:
    return str(project.get("/").json()["marker"])


def test_an_unknown_release_is_refused(three: Project) -> None:
    course = alone(three, "rollback", "--to", "ffffffffffff")
    assert course.ended.code == 2, course.ended.said
    assert "--list" in course.document["error"]["next"]
    assert course.after == course.before


def test_what_serves_is_nothing_to_go_back_to(three: Project) -> None:
    rows = three.run("rollback", "--list", "--json").ok().document()["releases"]
    course = alone(three, "rollback", "--to", rows[-1]["release"])
    assert course.ended.code == 2, course.ended.said
    assert course.after == course.before


def test_to_a_release_by_its_id_runs_its_own_source_past_those_in_between(three: Project) -> None:
    """The manifest is of no use meanwhile, and neither is the folder of the source."""
    rows = three.run("rollback", "--list", "--json").ok().document()["releases"]
    manifest = three.root / "manifest.yaml"
    kept = manifest.read_bytes()
    broken = kept.replace(b"port: 3000", b"prot: 3000")
    manifest.write_bytes(broken)
    shutil.rmtree(three.root / "app")
    try:
        course = under_load(three, "rollback", "--to", rows[0]["release"]).went()
        assert manifest.read_bytes() == broken
    finally:
        manifest.write_bytes(kept)
        (three.root / "app").mkdir()
        (three.root / "app" / "main.py").write_text(app("c"))
    assert (marker(three), course.document["version"]) == ("a", "1.0.0")
    assert course.document["release"] == rows[0]["release"]
    assert "services.mode could not be rewritten" in course.ended.err
    rows = three.run("rollback", "--list", "--json").ok().document()["releases"]
    assert [row["rolled_back"] for row in rows] == [False, True, True]


def test_a_release_that_is_gone_is_named_before_anything_moves(three: Project) -> None:
    """The last test of this project: the second release is deployed again and the first one is removed."""
    three.use_app(app("b"))
    three.set(services__version="2.0.0")
    three.run("deploy", "--again").ok()
    rows = three.run("rollback", "--list", "--json").ok().document()["releases"]
    first = rows[0]["release"]
    if three.engine == "docker":
        image = docker("image", "inspect", "-f", "{{.Id}}", f"{three.name}-release:{first}").strip()
        docker("rmi", "-f", image)
    else:
        shutil.rmtree(three.state / "releases" / first)
    course = alone(three, "rollback")
    assert course.ended.code == 2, course.ended.said
    assert first in course.document["error"]["message"]
    assert course.after == course.before
    assert marker(three) == "b"


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

"""The two files for people: the same from the same manifest, and never silently overwritten."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.e2e.project import Project

FILES = ("nginx.conf", "docker-compose.yml")


@pytest.fixture
def rendered(project: Project) -> Project:
    project.run("render").ok()
    return project


def test_the_same_manifest_gives_the_same_bytes_anywhere(
    rendered: Project, new_project: Callable[..., Project]
) -> None:
    first = {name: (rendered.root / name).read_bytes() for name in FILES}
    assert rendered.run("render", "--json").ok().document()["files"][0]["state"] == "unchanged"
    twin = new_project(rendered.engine)
    own = twin.manifest
    twin.manifest = rendered.manifest
    twin.write()
    twin.run("render").ok()
    twin.manifest = own
    assert {name: (twin.root / name).read_bytes() for name in FILES} == first
    assert rendered.left() == []
    for text in first.values():
        assert str(rendered.root).encode() not in text


def test_a_file_edited_by_hand_is_shown_kept_aside_and_mended(
    new_project: Callable[..., Project],
) -> None:
    rendered = new_project("local")
    rendered.run("render").ok()
    path = rendered.root / "nginx.conf"
    good = path.read_text()
    edited = good.replace("server_tokens off;", "server_tokens on;")
    assert edited != good
    path.write_text(edited)
    ended = rendered.run("render").ok()
    assert "mended" in ended.out
    assert "-    server_tokens on;" in ended.out
    assert "+    server_tokens off;" in ended.out
    assert path.read_text() == good
    kept = [p for p in rendered.state.rglob("nginx.conf*") if p.read_text() == edited]
    assert len(kept) == 1
    assert str(kept[0].parent) in ended.out


def test_both_files_or_neither(new_project: Callable[..., Project]) -> None:
    rendered = new_project("local")
    rendered.run("render").ok()
    before = {name: (rendered.root / name).read_bytes() for name in FILES}
    rendered.set(contact="new@example.org")
    (rendered.root / "templates").mkdir()
    (rendered.root / "templates" / "docker-compose.yml.j2").write_text("{{ nothing_of_this_name }}\n")
    assert rendered.run("render").code == 2
    assert {name: (rendered.root / name).read_bytes() for name in FILES} == before

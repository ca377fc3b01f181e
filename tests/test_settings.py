from __future__ import annotations

import os
from pathlib import Path

import pytest

from swiftdeploy_tasks import settings
from swiftdeploy_tasks.errors import PreflightError


def project(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "manifest.yaml").write_text("")
    return folder


def test_the_nearest_folder_upwards_with_a_manifest_is_the_project(tmp_path: Path) -> None:
    project(tmp_path)
    inner = project(tmp_path / "a shop")
    (inner / "deep" / "down").mkdir(parents=True)
    found = settings.find(inner / "deep" / "down")
    assert (found.root, found.is_project) == (inner, True)
    assert (found.state, found.history) == (inner / ".swiftdeploy", inner / "history.jsonl")
    assert settings.find(tmp_path).root == tmp_path


def test_a_state_folder_alone_is_a_project(tmp_path: Path) -> None:
    project(tmp_path)
    (tmp_path / "shop" / ".swiftdeploy").mkdir(parents=True)
    (tmp_path / "shop" / "deep").mkdir()
    assert settings.find(tmp_path / "shop" / "deep").root == tmp_path / "shop"


def test_names_of_the_wrong_kind_are_no_project(tmp_path: Path) -> None:
    project(tmp_path)
    (tmp_path / "shop" / "manifest.yaml").mkdir(parents=True)
    (tmp_path / "shop" / ".swiftdeploy").write_text("")
    assert settings.find(tmp_path / "shop").root == tmp_path


def test_without_a_project_the_folder_itself_is_meant_and_nothing_is_made(tmp_path: Path) -> None:
    found = settings.find(tmp_path)
    assert (found.root, found.state, found.is_project) == (tmp_path, tmp_path / ".swiftdeploy", False)
    assert list(tmp_path.iterdir()) == []


def test_the_current_folder_is_where_the_search_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project(tmp_path)
    (tmp_path / "deep").mkdir()
    monkeypatch.chdir(tmp_path / "deep")
    assert settings.find().root == tmp_path


def test_a_project_reached_by_a_link_has_one_home(tmp_path: Path) -> None:
    project(tmp_path / "real")
    (tmp_path / "link").symlink_to("real")
    assert settings.find(tmp_path / "link").home == settings.find(tmp_path / "real").home


def test_an_absolute_state_folder_holds_the_history_too(tmp_path: Path) -> None:
    root = project(tmp_path / "shop")
    found = settings.find(root, state=str(tmp_path / "kept"))
    assert (found.root, found.state) == (root, tmp_path / "kept")
    assert found.history == tmp_path / "kept" / "history.jsonl"
    assert found.home == str(tmp_path / "kept")


@pytest.mark.parametrize("first", ["", ".swiftdeploy"], ids=["not named first", "named first"])
def test_a_state_folder_that_is_the_project_s_own_has_one_history_whether_it_is_named_or_not(
    tmp_path: Path, first: str
) -> None:
    root = project(tmp_path / "shop")
    begun = settings.find(root, state=first)
    assert begun.history == (begun.state if first else root) / "history.jsonl"
    begun.state.mkdir()
    (begun.state / "lock").touch()
    begun.history.touch()
    assert {settings.find(root, state=given).history for given in ("", ".swiftdeploy")} == {begun.history}
    assert settings.find(root, state="../kept").history == tmp_path / "kept" / "history.jsonl"


@pytest.mark.parametrize("given", ["../kept", "./../kept/", "../shop/../kept"])
def test_a_relative_state_folder_begins_at_the_project_from_wherever_it_is_asked(
    tmp_path: Path, given: str
) -> None:
    root = project(tmp_path / "shop")
    (root / "deep").mkdir()
    homes = {settings.find(folder, state=given).home for folder in (root, root / "deep")}
    assert homes == {str(tmp_path / "kept")}


def test_a_state_folder_may_be_missing_empty_or_one_of_ours(tmp_path: Path) -> None:
    root = project(tmp_path / "shop")
    (tmp_path / "empty").mkdir()
    (tmp_path / "ours" / "nginx").mkdir(parents=True)
    (tmp_path / "ours" / "lock").write_text("")
    for name in ("missing", "empty", "ours"):
        assert settings.find(root, state=str(tmp_path / name)).state == tmp_path / name


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("../elsewhere", "holds files that are not SwiftDeploy's"),
        ("../elsewhere/notes.txt", "is a file"),
        (".", "holds the project itself"),
        ("..", "holds the project itself"),
        ("../line\nfeed", "characters that cannot be printed"),
    ],
)
def test_a_state_folder_that_cannot_be_ours_is_refused_and_left_alone(
    tmp_path: Path, state: str, words: str
) -> None:
    root = project(tmp_path / "shop")
    (tmp_path / "elsewhere").mkdir(mode=0o755)
    (tmp_path / "elsewhere" / "notes.txt").write_text("mine")
    with pytest.raises(PreflightError, match=words) as refused:
        settings.find(root, state=state)
    assert refused.value.next
    assert (tmp_path / "elsewhere").stat().st_mode & 0o777 == 0o755
    assert not (tmp_path / "line\nfeed").exists()


def test_the_variable_wins_over_the_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project(tmp_path / "shop"))
    configured = {"swiftdeploy": {"state": str(tmp_path / "configured")}}
    monkeypatch.delenv("INVOKE_SWIFTDEPLOY_STATE", raising=False)
    assert settings.of_configuration(configured).state == tmp_path / "configured"
    assert settings.of_configuration({}).state == tmp_path / "shop" / ".swiftdeploy"
    monkeypatch.setenv("INVOKE_SWIFTDEPLOY_STATE", str(tmp_path / "kept"))
    assert settings.of_configuration(configured).state == tmp_path / "kept"
    assert settings.of_configuration({}).state == tmp_path / "kept"


def test_the_project_s_own_schema_policies_and_templates_go_first(tmp_path: Path) -> None:
    found = settings.find(project(tmp_path))
    assert found.schema == settings.DEFAULTS / "schema" / "manifest.schema.json"
    assert found.policies == settings.DEFAULTS / "policies"
    (tmp_path / "schema").mkdir()
    (tmp_path / "schema" / "manifest.schema.json").write_text("{}")
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "README.md").write_text("no policy")
    assert found.schema == tmp_path / "schema" / "manifest.schema.json"
    assert found.policies == settings.DEFAULTS / "policies"
    (tmp_path / "policies" / "own.rego").write_text("package own")
    assert found.policies == tmp_path / "policies"
    assert found.template_folders == (tmp_path / "templates", settings.DEFAULTS / "templates")


def test_a_state_folder_that_this_user_may_not_enter_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".swiftdeploy").mkdir()
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(PreflightError, match="closed to this user"):
        settings.find(tmp_path)


def test_a_policy_in_a_sub_folder_makes_the_policies_the_project_s_own(tmp_path: Path) -> None:
    project(tmp_path)
    (tmp_path / "policies" / "team").mkdir(parents=True)
    assert settings.find(tmp_path).policies == settings.DEFAULTS / "policies"
    (tmp_path / "policies" / "team" / "freeze.rego").write_text("package swiftdeploy.infrastructure")
    assert settings.find(tmp_path).policies == tmp_path / "policies"


def test_a_folder_inside_a_state_folder_is_no_project(tmp_path: Path) -> None:
    for state in (".swiftdeploy", "kept"):
        release = tmp_path / state / "releases" / "0123" / "source"
        release.mkdir(parents=True)
        (tmp_path / state / "lock").touch()
        (release.parent / "manifest.yaml").touch()
        assert settings.find(release).root == tmp_path

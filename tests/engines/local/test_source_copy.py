"""The copy of the source that a local release runs from, and what its app wrote into it."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from swiftdeploy_tasks import settings
from swiftdeploy_tasks.engines.local import process_checks, source_copy
from swiftdeploy_tasks.engines.local.local_engine import LocalEngine
from swiftdeploy_tasks.errors import PreflightError
from swiftdeploy_tasks.manifest import loading
from swiftdeploy_tasks.manifest.model import Manifest
from swiftdeploy_tasks.rollout import release_store


@pytest.fixture
def source(tmp_path: Path) -> Path:
    source = tmp_path / "app"
    source.mkdir()
    (source / "main.py").write_text("print(1)\n")
    (source / "rows.db").write_text("shipped\n")
    return source


@pytest.fixture
def copy(tmp_path: Path, source: Path) -> Path:
    folder = tmp_path / "state" / "releases" / "0123456789ab" / "source"
    make(source, folder)
    return folder


def make(source: Path, folder: Path) -> tuple[str, ...]:
    aside = source_copy.data_folder(folder.parents[2], folder.parent.name)
    return source_copy.copy(source, folder, expected=source_copy.digest(source), name="app", aside=aside)


def test_a_copy_that_was_just_made_has_nothing_written(copy: Path) -> None:
    assert source_copy.written(copy) == ()
    assert source_copy.is_intact(copy)


def test_new_and_changed_files_are_written_and_compiled_ones_are_not(copy: Path) -> None:
    (copy / "app" / "new.db").write_text("row")
    (copy / "app" / "rows.db").write_text("row")
    (copy / "app" / "__pycache__").mkdir()
    (copy / "app" / "__pycache__" / "main.pyc").write_bytes(b"x")
    assert source_copy.written(copy) == ("app/new.db", "app/rows.db")


def test_a_copy_that_is_made_again_moves_what_was_changed_in_it(copy: Path, source: Path) -> None:
    (copy / "app" / "new.db").write_text("row")
    (copy / "app" / "rows.db").write_text("shipped\nrow")
    assert make(source, copy) == ("app/rows.db",)
    assert (copy / "app" / "rows.db").read_text() == "shipped\n"
    assert (copy / "app" / "new.db").read_text() == "row"
    kept = copy.parents[2] / "data" / copy.parent.name / "app" / "rows.db"
    assert kept.read_text() == "shipped\nrow"


def test_a_release_that_is_removed_leaves_what_its_app_wrote(copy: Path, source: Path) -> None:
    aside = source_copy.data_folder(copy.parents[2], copy.parent.name)
    for text in ("first", "second"):
        make(source, copy)
        (copy / "app" / "new.db").write_text(text)
        assert release_store.remove(copy.parent) == aside
        assert not copy.exists()
    assert (aside / "app" / "new.db").read_text() == "first"
    assert (aside / "app" / "new.db.2").read_text() == "second"


def test_a_release_without_data_leaves_nothing(copy: Path) -> None:
    assert release_store.remove(copy.parent) is None
    assert list(copy.parents[2].rglob("*")) == [copy.parents[1]]


def project(root: Path, source: str = ".", process: str = "python") -> Manifest:
    (root / "manifest.yaml").write_text(
        f"name: own\nservices: {{image: 'x:1', port: 3000, source: {source}, process: [{process}, x.py]}}\n"
        "nginx: {image: nginx, port: 8080}\nnetwork: {name: n, driver_type: bridge}\nengine: local\n"
    )
    places = settings.find(root)
    return loading.load(places.manifest, schema=places.schema)


def kept(root: Path, asked: Manifest) -> set[str]:
    engine = LocalEngine(root, root / ".swiftdeploy")
    release = engine.release(asked)
    assert engine.keep(asked, release) == ()
    assert engine.release(asked) == release, "a copy changes no digest"
    copy = root / ".swiftdeploy" / "releases" / release.id / "source"
    return {path.relative_to(copy).as_posix() for path in copy.rglob("*")}


def test_the_whole_project_is_copied_without_what_swiftdeploy_makes_in_it(tmp_path: Path) -> None:
    asked = project(tmp_path)
    (tmp_path / "x.py").touch()
    (tmp_path / "uploads").mkdir()
    (tmp_path / "history.jsonl").touch()
    before = LocalEngine(tmp_path, tmp_path / ".swiftdeploy").release(asked).artifact
    assert kept(tmp_path, asked) == {"x.py", "uploads"}
    (tmp_path / "history.jsonl").write_text("{}\n")
    project(tmp_path)
    assert LocalEngine(tmp_path, tmp_path / ".swiftdeploy").release(asked).artifact == before


def test_what_cannot_be_copied_is_left_out_of_digest_and_copy(tmp_path: Path) -> None:
    asked = project(tmp_path, source="app")
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "x.py").touch()
    (tmp_path / "app" / ".git").write_text("gitdir: ../.git/modules/app\n")
    (tmp_path / "app" / ".venv").symlink_to("/nowhere")
    os.mkfifo(tmp_path / "app" / "pipe")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "app" / "socket"))
        assert kept(tmp_path, asked) == {"app", "app/x.py"}


def test_a_source_that_is_neither_file_nor_folder_is_named(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(PreflightError, match="neither a file nor a folder"):
        source_copy.source(project(tmp_path, source="pipe"), tmp_path)


@pytest.mark.parametrize(
    ("source", "process", "why"),
    [
        (".", "./start.sh", ""),
        ("app", "app/start.sh", ""),
        ("app", "./app/start.sh", ""),
        ("app", "./start.sh", "it is not in the copy of services.source (app)"),
        (".", "start.sh", "there is no such program on PATH"),
        (".", "./x.py", "is not executable"),
        (".", "./none.sh", "there is no file"),
        (".", "sh", ""),
    ],
)
def test_a_program_is_looked_for_where_it_will_run(
    tmp_path: Path, source: str, process: str, why: str
) -> None:
    (tmp_path / "app").mkdir()
    (tmp_path / "x.py").touch()
    for path in (tmp_path / "start.sh", tmp_path / "app" / "start.sh"):
        path.touch(0o755)
    asked = project(tmp_path, source, process)
    checks = process_checks.all_of(asked, tmp_path, tmp_path / ".swiftdeploy", with_opa=False)
    found = next(check for check in checks if check.name == "image")
    assert found.passed is not bool(why)
    assert why in found.message

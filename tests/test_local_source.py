"""The copy of the source that a local release runs from, and what its app wrote into it."""

from __future__ import annotations

from pathlib import Path

import pytest

from swiftdeploy_tasks import releases
from swiftdeploy_tasks.engines import local_source


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
    aside = local_source.data_folder(folder.parents[2], folder.parent.name)
    return local_source.copy(source, folder, expected=local_source.digest(source), name="app", aside=aside)


def test_a_copy_that_was_just_made_has_nothing_written(copy: Path) -> None:
    assert local_source.written(copy) == ()
    assert local_source.is_intact(copy)


def test_new_and_changed_files_are_written_and_compiled_ones_are_not(copy: Path) -> None:
    (copy / "app" / "new.db").write_text("row")
    (copy / "app" / "rows.db").write_text("row")
    (copy / "app" / "__pycache__").mkdir()
    (copy / "app" / "__pycache__" / "main.pyc").write_bytes(b"x")
    assert local_source.written(copy) == ("app/new.db", "app/rows.db")


def test_a_copy_that_is_made_again_moves_what_was_changed_in_it(copy: Path, source: Path) -> None:
    (copy / "app" / "new.db").write_text("row")
    (copy / "app" / "rows.db").write_text("shipped\nrow")
    assert make(source, copy) == ("app/rows.db",)
    assert (copy / "app" / "rows.db").read_text() == "shipped\n"
    assert (copy / "app" / "new.db").read_text() == "row"
    kept = copy.parents[2] / "data" / copy.parent.name / "app" / "rows.db"
    assert kept.read_text() == "shipped\nrow"


def test_a_release_that_is_removed_leaves_what_its_app_wrote(copy: Path, source: Path) -> None:
    aside = local_source.data_folder(copy.parents[2], copy.parent.name)
    for text in ("first", "second"):
        make(source, copy)
        (copy / "app" / "new.db").write_text(text)
        assert releases.remove(copy.parent) == aside
        assert not copy.exists()
    assert (aside / "app" / "new.db").read_text() == "first"
    assert (aside / "app" / "new.db.2").read_text() == "second"


def test_a_release_without_data_leaves_nothing(copy: Path) -> None:
    assert releases.remove(copy.parent) is None
    assert list(copy.parents[2].rglob("*")) == [copy.parents[1]]

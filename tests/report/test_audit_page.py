"""`audit --html` writes the page beside the report, and `--open` opens it in a browser."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.report import test_audit
from tests.report.test_audit import Place

place = test_audit.place


def page_of(place: Place) -> str:
    return (place.root / "audit_report.html").read_text(encoding="utf-8")


def test_the_page_is_written_beside_the_report_and_named(place: Place) -> None:
    audited = place.audit("--html")
    assert audited.code == 0, audited.err
    path = place.root / "audit_report.html"
    assert audited.document["page"] == str(path)
    assert f"page: {path}" in audited.err
    assert "All 6 records link to the head" in page_of(place)
    assert page_of(place).count("<details>") == 3


def test_without_it_no_page_is_made(place: Place) -> None:
    assert place.audit().document["page"] is None
    assert not (place.root / "audit_report.html").exists()


def test_a_history_that_does_not_verify_has_a_red_page(place: Place) -> None:
    place.put(place.lines[:2] + place.lines[3:])
    audited = place.audit("--html")
    assert audited.code == 7
    assert 'class="statement is-bad"' in page_of(place)
    assert "Line 3 of history.jsonl" in page_of(place)


def test_it_is_opened_in_the_browser_of_this_user(
    place: Place, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    shown = tmp_path / "shown"
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" > "{shown}"\n')
    browser.chmod(0o755)
    monkeypatch.setenv("BROWSER", str(browser))
    monkeypatch.delenv("DISPLAY", raising=False)
    audited = place.audit("--open")
    assert audited.code == 0, audited.err
    assert shown.read_text().strip() == (place.root / "audit_report.html").as_uri()


def test_without_a_browser_it_says_where_the_page_is(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("BROWSER", raising=False)
    audited = place.audit("--open")
    assert audited.code == 0, audited.err
    path = place.root / "audit_report.html"
    assert f"no browser found; open it yourself: {path}" in audited.err
    assert path.exists()


def test_without_the_extra_it_says_how_to_get_it_and_changes_nothing(
    place: Place, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "without").mkdir()
    (tmp_path / "without" / "sitecustomize.py").write_text("import sys\nsys.modules['matplotlib'] = None\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "without"))
    audited = place.audit("--html")
    assert audited.code == 1
    assert audited.document["error"]["kind"] == "UsageError"
    assert audited.document["error"]["next"] == f"{sys.executable} -m pip install 'swiftdeploy-tasks[report]'"
    assert audited.report == ""

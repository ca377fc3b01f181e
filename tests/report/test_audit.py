"""`audit` verifies the history, prints and writes the report, and then records itself."""

from __future__ import annotations

import gzip
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from swiftdeploy_tasks.errors import PreflightError, UsageError
from swiftdeploy_tasks.history.store import History
from swiftdeploy_tasks.report.markdown import shown
from swiftdeploy_tasks.verbs import audit as auditing
from tests.history.test_bad_input import powerless

COMMAND = Path(sys.executable).parent / "swiftdeploy"


@dataclass(frozen=True)
class Audited:
    code: int
    document: dict[str, Any]
    err: str
    report: str


@dataclass(frozen=True)
class Place:
    """A project that was never deployed, with a history of `count` records."""

    root: Path

    @property
    def history(self) -> Path:
        return self.root / "history.jsonl"

    @property
    def lines(self) -> list[str]:
        return self.history.read_text().splitlines(keepends=True)

    def put(self, lines: list[str]) -> None:
        self.history.write_text("".join(lines))

    def audit(self, *words: str) -> Audited:
        command = [str(COMMAND), "audit", "--json", *words]
        ended = subprocess.run(command, cwd=self.root, capture_output=True, text=True, timeout=60)
        assert "Traceback" not in ended.stderr, ended.stderr
        report = self.root / "audit_report.md"
        written = report.read_text() if report.is_file() else ""
        return Audited(ended.returncode, json.loads(ended.stdout), ended.stderr, written)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    (tmp_path / "manifest.yaml").touch()
    history = History(tmp_path / "history.jsonl", tmp_path / ".swiftdeploy")
    for number in range(3):
        who = {"user": "ana", "host": "web1"}
        history.append("started", "deploy", f"r{number}", argv="deploy", who=who)
        history.append("finished", "deploy", f"r{number}", "done", exit_code=0, duration_ms=9.0)
    return Place(tmp_path)


def test_a_whole_history_is_reported_before_audit_records_itself(place: Place) -> None:
    before = place.lines
    audited = place.audit()
    assert audited.code == 0, audited.err
    document = audited.document
    assert (document["verified"], document["records"]) == (True, 6)
    assert (document["first_bad"], document["first_bad_file"], document["reason"]) == (None, None, None)
    assert document["proven"] == [1, 6]
    assert document["report"] == str(place.root / "audit_report.md")
    head = json.loads(before[-1])
    assert f"Head: record 6, `{head['hash']}`" in audited.report
    assert "| Deploys | 3 (3 done) |" in audited.report
    added = [json.loads(line) for line in place.lines[6:]]
    assert [(r["task"], r["event"], r["outcome"]) for r in added] == [
        ("audit", "started", None),
        ("audit", "finished", "done"),
    ]


@pytest.mark.parametrize("line", [1, 4, 6], ids=["the first", "one within", "the last"])
def test_a_line_that_is_gone_is_named_and_nothing_later_hides_it(place: Place, line: int) -> None:
    place.put([text for number, text in enumerate(place.lines, 1) if number != line])
    for earlier in range(2):
        audited = place.audit()
        assert audited.code == 7, audited.err
        document = audited.document
        assert (document["verified"], document["first_bad"], document["ok"]) == (False, line, False)
        assert document["first_bad_file"] == str(place.history)
        proven = [line + 1, 6 + 2 * earlier]
        assert document["proven"] == (proven if line < proven[1] else None)
        assert document["error"]["kind"] == "HistoryError"
        assert document["reason"] in document["error"]["message"]
        top = audited.report.partition("## Summary")[0]
        assert "DOES NOT VERIFY" in top
        assert f"Line {line} of history.jsonl" in top
    added = [json.loads(text) for text in place.lines[5:]]
    assert [(r["event"], r["outcome"]) for r in added] == [("started", None), ("finished", "failed")] * 2


def _empty(place: Place) -> None:
    place.put([])


def _no_json(place: Place) -> None:
    place.put(["hello\n", *place.lines[1:]])


def _long(place: Place) -> None:
    place.put([*place.lines[:2], "x" * (2 << 20) + "\n", *place.lines[2:]])


def _foreign(place: Place) -> None:
    other = History(place.root / "other.jsonl", place.root / "other")
    for number in range(6):
        other.append("started", "deploy", f"x{number}")
    shutil.move(place.root / "other.jsonl", place.history)


def _newer(place: Place) -> None:
    record = json.loads(place.lines[3]) | {"v": 2}
    place.put([*place.lines[:3], json.dumps(record) + "\n", *place.lines[4:]])


def _headless(place: Place) -> None:
    (place.root / ".swiftdeploy" / "head.json").unlink()


def _compressed(place: Place) -> None:
    place.history.write_bytes(gzip.compress(b"a history\n" * 100, mtime=0) + b"\n")


DAMAGED: dict[str, tuple[Callable[[Place], None], int, str]] = {
    "an empty file": (_empty, 1, "truncated"),
    "a first line that is not JSON": (_no_json, 1, "not JSON"),
    "a line over 1 MiB": (_long, 3, "longer than 1048576 bytes"),
    "the history of another project": (_foreign, 6, "differs from the head"),
    "a record of a newer program": (_newer, 4, "of another program version: v is 2"),
    "no head": (_headless, 7, "head missing"),
    "no text at all": (_compressed, 1, "not JSON"),
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_what_is_wrong_with_a_history_is_said_at_the_top_of_its_report(place: Place, damage: str) -> None:
    do, line, words = DAMAGED[damage]
    do(place)
    audited = place.audit()
    assert (audited.code, audited.document["first_bad"]) == (7, line), audited.err
    assert words in audited.document["reason"]
    assert words in audited.report.partition("## Summary")[0]


def test_a_history_that_cannot_be_read_is_said_and_the_report_too(place: Place) -> None:
    place.history.unlink()
    place.history.mkdir()
    audited = place.audit()
    assert (audited.code, audited.document["verified"], audited.document["first_bad"]) == (7, False, None)
    assert "Nothing is verified: the history cannot be used: " in audited.report


@pytest.mark.parametrize("target", [None, "elsewhere", "notes.txt"], ids=["folder", "nowhere", "link"])
def test_a_report_that_has_no_place_is_one_sentence_and_overwrites_nothing(
    place: Place, target: str | None
) -> None:
    report, notes = place.root / "audit_report.md", place.root / "notes.txt"
    notes.write_text("mine")
    report.symlink_to(place.root / target) if target else report.mkdir()
    audited = place.audit()
    error = audited.document["error"]
    assert (audited.code, error["kind"]) == (2, "PreflightError")
    assert f"The report cannot be written: {report} is a" in error["message"]
    assert audited.document["verified"]
    place.put(place.lines[1:])
    audited = place.audit()
    assert (audited.code, audited.document["first_bad"]) == (7, 1)
    assert "The report cannot be written" in audited.err
    assert notes.read_text() == "mine"
    assert not (place.root / "elsewhere").exists()


def test_a_report_in_a_folder_that_may_not_be_written_is_one_sentence(tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    with powerless(), pytest.raises(PreflightError, match=r"cannot be written: .*: Permission denied"):
        auditing._put(tmp_path / "audit_report.md", "told")


def _cut_short(place: Place) -> None:
    place.put(place.lines[:4])


def _turned_to_a_folder(place: Place) -> None:
    place.history.unlink()
    place.history.mkdir()


NEXT: dict[str, tuple[Callable[[Place], None], str]] = {
    "a bad line": (_no_json, "sed -n 1p {}/history.jsonl"),
    "a lost tail": (_cut_short, "sed -n 4,5p {}/history.jsonl"),
    "no head": (_headless, "sed -n 6,7p {}/history.jsonl"),
    "no file to read": (_turned_to_a_folder, "ls -l {}/history.jsonl"),
}


@pytest.mark.parametrize("damage", NEXT)
def test_the_next_command_shows_what_is_there(place: Place, damage: str) -> None:
    do, command = NEXT[damage]
    do(place)
    assert place.audit().document["error"]["next"] == command.format(place.root)


def test_a_report_is_titled_by_the_name_of_the_project_else_by_its_folder(place: Place) -> None:
    def title() -> str:
        return place.audit().report.splitlines()[0]

    manifest, applied = place.root / "manifest.yaml", place.root / ".swiftdeploy" / "applied.yaml"
    manifest.write_text("name: [no name\n")
    assert title() == f"# Audit report of {shown(place.root.name)}"
    manifest.write_text("name: shop\nanything: else\n")
    assert title() == "# Audit report of shop"
    applied.write_text("name: till\n")
    assert title() == "# Audit report of till"


def test_without_a_history_it_says_so_and_is_well(tmp_path: Path) -> None:
    (tmp_path / "manifest.yaml").touch()
    audited = Place(tmp_path).audit()
    assert (audited.code, audited.document["verified"], audited.document["records"]) == (0, True, 0)
    assert "Nothing is recorded yet" in audited.report


def test_outside_of_a_project_it_says_so_and_writes_nothing(tmp_path: Path) -> None:
    audited = Place(tmp_path).audit()
    assert (audited.code, audited.document["report"]) == (0, None)
    assert list(tmp_path.iterdir()) == []


def test_it_needs_no_lock_and_no_manifest_that_is_valid(place: Place) -> None:
    (place.root / "manifest.yaml").write_text("{nonsense")
    holding = (
        "import sys; from pathlib import Path; from swiftdeploy_tasks.session import lock\n"
        "held = lock.acquire(Path(sys.argv[1]), verb='deploy', wait=0); print('held', flush=True)\n"
        "sys.stdin.read()"
    )
    command = [sys.executable, "-c", holding, str(place.root / ".swiftdeploy")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        assert place.audit().code == 0


def test_the_report_covers_the_period_and_the_whole_history_is_verified(place: Place) -> None:
    audited = place.audit("--since", "2100-01-01")
    assert (audited.code, audited.document["records"]) == (0, 6)
    assert "no record in it" in audited.report
    assert "| Deploys | 0 |" in audited.report
    place.put(place.lines[1:])
    assert place.audit("--since", "2100-01-01").code == 7


NOW = 1_764_000_000.0
TIMES = {
    "2026-11-24": (1795478400.0, 1795564799.999),
    "2026-11-24T15:00:00Z": (1795532400.0, 1795532400.0),
    "2026-11-24T15:00:00": (1795532400.0, 1795532400.0),
    "2026-11-24T16:00:00+01:00": (1795532400.0, 1795532400.0),
    "90m": (NOW - 5400, NOW - 5400),
    "7d": (NOW - 7 * 86400, NOW - 7 * 86400),
}


@pytest.mark.parametrize("words", TIMES)
def test_a_period_can_be_given_as_a_day_a_time_or_how_long_ago(words: str) -> None:
    start, end = TIMES[words]
    assert auditing._period(words, "", now=NOW).since == start
    assert auditing._period("", words, now=NOW).until == end


@pytest.mark.parametrize("words", ["yesterday", "2026-13-01", "7", "-1d"])
def test_what_is_no_time_is_refused_with_what_would_be_one(words: str) -> None:
    with pytest.raises(UsageError, match="2026-11-24T15:00:00Z"):
        auditing._period(words, "", now=NOW)


def test_a_period_that_ends_before_it_begins_is_refused(place: Place) -> None:
    audited = place.audit("--since", "1h", "--until", "2h")
    assert audited.code == 1
    assert "later than --until 2h" in audited.err
    assert audited.report == ""

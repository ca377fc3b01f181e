"""A small collection of recorded tasks, run as a process of its own, in every way that a task can end."""

from __future__ import annotations

import inspect
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from swiftdeploy_tasks import errors
from swiftdeploy_tasks.history.store import History

# Each task does what the variable of its name says; `change` needs `prepare`, which needs `check`.
COLLECTION = """
import os, signal, sys
from pathlib import Path
from invoke import Collection, Program, task
from swiftdeploy_tasks import errors
from swiftdeploy_tasks.session.run import current
from swiftdeploy_tasks.session.task import RecordedTask

def act(name):
    said = os.environ.get(name.upper(), "succeed")
    Path(f"{name} was here").touch()
    if said == "wait":
        print("waiting", file=sys.stderr, flush=True)
        while True:
            signal.pause()
    if said == "hangup":
        return os.kill(os.getpid(), signal.SIGHUP)
    if said == "bug":
        raise ZeroDivisionError("a bug")
    if said != "succeed":
        raise getattr(errors, said)("what went wrong", "invoke mend")

@task(klass=RecordedTask, document={"checks": []})
def check(c, json=False):
    current().report(checks=["made"])
    act("check")

@task(klass=RecordedTask, pre=[check], writes=True, document={"files": []})
def prepare(c, json=False, wait=0):
    act("prepare")

@task(klass=RecordedTask, pre=[prepare], writes=True, needs_history=True, document={"slot": None})
def change_it(c, json=False, wait=0):
    current().say("changing it")
    current().report(slot="blue")
    act("change")

if "IGNORED" in os.environ:
    signal.signal(signal.Signals[os.environ["IGNORED"]], signal.SIG_IGN)
Program(namespace=Collection(check, prepare, change_it)).run()
"""
KINDS = [
    kind
    for kind in vars(errors).values()
    if inspect.isclass(kind) and issubclass(kind, errors.SwiftDeployError)
]
OUTCOMES = {3: "refused", 4: "unanswered", 8: "locked", 10: "held", 130: "interrupted"}


class Project:
    def __init__(self, root: Path, stack: ExitStack) -> None:
        self.root = root
        self.stack = stack

    def start(self, *words: str, **does: str) -> subprocess.Popen[str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("INVOKE_")}
        process = subprocess.Popen(
            [sys.executable, "-c", COLLECTION, *words],
            cwd=self.root,
            env={**inherited, **does},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.stack.enter_context(process)
        self.stack.callback(process.kill)
        return process

    def run(self, *words: str, **does: str) -> tuple[int, str, str]:
        process = self.start(*words, **does)
        out, err = process.communicate(timeout=30)
        return process.returncode, out, err

    def waiting(self, *words: str, **does: str) -> subprocess.Popen[str]:
        """A process in the middle of the task that waits."""
        process = self.start(*words, **does)
        assert process.stderr
        for line in process.stderr:
            if line.strip() == "waiting":
                return process
        raise AssertionError("it ended before it waited")

    def records(self, *events: str) -> list[dict[str, Any]]:
        lines = (self.root / "history.jsonl").read_text(encoding="utf-8").splitlines()
        return [record for record in map(json.loads, lines) if not events or record["event"] in events]

    def ends(self) -> list[tuple[str, str, int]]:
        """How each task that finished did."""
        return [(r["task"], r["outcome"], r["exit_code"]) for r in self.records("finished")]


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    (tmp_path / "manifest.yaml").write_text("")
    with ExitStack() as stack:
        yield Project(tmp_path, stack)


def document(out: str) -> dict[str, Any]:
    """The one JSON document, and nothing else, that stdout holds."""
    found = json.loads(out)
    assert isinstance(found, dict)
    assert found.keys() >= {"task", "ok", "exit_code", "error", "engine"}
    return found


def test_every_task_that_ran_is_recorded_from_its_start_to_its_end(project: Project) -> None:
    code, out, _ = project.run("change-it", "--wait", "1")
    assert code == 0
    assert "changing it" in out
    told = [(record["task"], record["event"]) for record in project.records()]
    assert told == [
        (task, event) for task in ("check", "prepare", "change-it") for event in ("started", "finished")
    ]
    assert project.ends() == [("check", "done", 0), ("prepare", "done", 0), ("change-it", "done", 0)]
    assert len({record["run"] for record in project.records()}) == 1
    assert all(record["duration_ms"] >= 0 for record in project.records("finished"))
    assert all(record["who"]["user"] for record in project.records("started"))
    assert {record["argv"] for record in project.records("started")} == {"change-it"}
    assert all(record["options"] == {"wait": 1} for record in project.records("started"))
    assert History(project.root / "history.jsonl", project.root / ".swiftdeploy").verify().ok


def test_each_of_several_verbs_is_recorded_with_its_own_words(project: Project) -> None:
    code, *_ = project.run("check", "change-it", "--wait", "1")
    assert code == 0
    first, *others = [(r["argv"], r["options"]) for r in project.records("started")]
    assert first == ("check", {})
    assert {argv for argv, _ in others} == {"change-it"}
    assert all(options == {"wait": 1} for _, options in others)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_a_domain_error_is_its_exit_code_a_sentence_and_a_record(
    project: Project, kind: type[errors.SwiftDeployError]
) -> None:
    code, _, err = project.run("change-it", CHANGE=kind.__name__)
    assert code == kind.exit_code
    assert f"change-it: what went wrong (exit {code})" in err
    assert "next: invoke mend" in err
    assert "Traceback" not in err
    last = project.records("finished")[-1]
    assert (last["task"], last["exit_code"]) == ("change-it", code)
    assert last["outcome"] == OUTCOMES.get(code, "failed")
    assert last["error"] == {"kind": kind.__name__, "message": "what went wrong"}


def test_a_failed_prerequisite_ends_the_run_with_its_own_code(project: Project) -> None:
    code, _, _ = project.run("change-it", CHECK="GateUnavailable")
    assert code == 4
    assert project.ends() == [("check", "unanswered", 4)]
    assert not (project.root / "change was here").exists()


def test_a_bug_is_1_with_its_traceback_and_is_recorded(project: Project) -> None:
    code, _, err = project.run("change-it", CHANGE="bug")
    assert code == 1
    assert "ZeroDivisionError: a bug" in err
    assert project.ends()[-1] == ("change-it", "error", 1)
    assert project.records("finished")[-1]["error"]["message"] == "a bug: ZeroDivisionError: a bug"


def test_the_document_of_success_is_that_of_the_verb_alone(project: Project) -> None:
    code, out, err = project.run("change-it", "--json")
    assert code == 0
    assert document(out) == {
        "task": "change-it",
        "ok": True,
        "exit_code": 0,
        "error": None,
        "engine": None,
        "slot": "blue",
    }
    assert "changing it" in err


def test_the_document_of_a_failure_has_what_was_known_by_then(project: Project) -> None:
    code, out, _ = project.run("change-it", "--json", CHANGE="AppUnhealthy")
    assert code == 6
    assert document(out) == {
        "task": "change-it",
        "ok": False,
        "exit_code": 6,
        "error": {"kind": "AppUnhealthy", "message": "what went wrong", "next": "invoke mend"},
        "engine": None,
        "slot": "blue",
    }


@pytest.mark.parametrize("verb", ["change-it", "prepare"])
def test_a_prerequisite_that_ended_the_run_gives_its_own_document(project: Project, verb: str) -> None:
    code, out, _ = project.run(verb, "--json", CHECK="PreflightError")
    found = document(out)
    assert (code, found["task"], found["exit_code"], found["checks"]) == (2, "check", 2, ["made"])
    assert "slot" not in found


@pytest.mark.parametrize(
    "does", [{"CHANGE": "bug"}, {"CHECK": "bug"}], ids=["in the verb", "in a prerequisite"]
)
def test_a_bug_too_is_one_document(project: Project, does: dict[str, str]) -> None:
    code, out, err = project.run("change-it", "--json", **does)
    found = document(out)
    assert (code, found["ok"], found["exit_code"]) == (1, False, 1)
    assert found["error"]["kind"] in {kind.__name__ for kind in KINDS}
    assert "ZeroDivisionError: a bug" in err


SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
def test_an_interrupted_verb_is_130_and_recorded(project: Project, number: signal.Signals) -> None:
    process = project.waiting("change-it", CHANGE="wait")
    process.send_signal(number)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "change-it: interrupted (exit 130)" in err
    assert "Traceback" not in err
    assert project.ends()[-1] == ("change-it", "interrupted", 130)


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
@pytest.mark.parametrize("place", ["CHANGE", "CHECK"])
def test_the_document_of_an_interruption_is_that_of_the_verb(
    project: Project, number: signal.Signals, place: str
) -> None:
    process = project.waiting("change-it", "--json", **{place: "wait"})
    process.send_signal(number)
    out, _ = process.communicate(timeout=30)
    found = document(out)
    assert (process.returncode, found["task"], found["exit_code"]) == (130, "change-it", 130)
    assert found["error"]["kind"] == "Interrupted"
    assert "slot" in found and "checks" not in found


@pytest.mark.parametrize(
    ("does", "code"), [({"IGNORED": "SIGHUP"}, 0), ({}, 130)], ids=["to outlive it", "as usual"]
)
def test_a_closed_terminal_ends_a_run_that_was_not_started_to_outlive_it(
    project: Project, does: dict[str, str], code: int
) -> None:
    assert project.run("change-it", CHANGE="hangup", **does)[0] == code
    assert project.ends()[-1] == ("change-it", OUTCOMES.get(code, "done"), code)


def test_a_second_writer_is_refused_in_the_name_of_its_verb(project: Project) -> None:
    first = project.waiting("change-it", CHANGE="wait")
    code, out, err = project.run("change-it", "--json")
    found = document(out)
    assert (code, found["task"], found["exit_code"], found["slot"]) == (8, "change-it", 8, None)
    assert found["error"]["kind"] == "LockHeld"
    user = project.records("started")[0]["who"]["user"]
    assert f"locked by change-it (user {user}" in found["error"]["message"]
    assert f"pid {first.pid}" in err
    assert project.ends()[-1] == ("check", "locked", 8)


def test_what_a_verb_needs_first_waits_for_the_lock_too(project: Project) -> None:
    project.waiting("change-it", CHANGE="wait")
    (project.root / "check was here").unlink()
    assert project.run("change-it")[0] == 8
    assert not (project.root / "check was here").exists()


def test_a_reader_is_not_refused(project: Project) -> None:
    project.waiting("change-it", CHANGE="wait")
    assert project.run("check")[0] == 0


def test_one_that_waits_goes_on_when_the_first_has_ended(project: Project) -> None:
    first = project.waiting("change-it", CHANGE="wait")
    second = project.start("change-it", "--wait", "30")
    first.terminate()
    out, _ = second.communicate(timeout=30)
    assert second.returncode == 0
    assert "changing it" in out


@pytest.mark.parametrize(
    "words", [("--wait", "-1"), ("--wait", "soon"), ("--wait", "1.5"), ("--no-such-flag",)]
)
def test_words_that_do_not_fit_are_1_and_nothing_is_done(project: Project, words: tuple[str, ...]) -> None:
    code, _, err = project.run("change-it", *words)
    assert code == 1
    assert words[0].lstrip("-") in err
    assert [path.name for path in project.root.iterdir()] == ["manifest.yaml"]


def test_where_the_history_cannot_be_written_a_task_that_needs_it_does_not_begin(project: Project) -> None:
    (project.root / "history.jsonl").mkdir()
    code, out, err = project.run("change-it", "--json")
    assert code == 7
    assert document(out)["error"]["kind"] == "HistoryError"
    assert (project.root / "prepare was here").exists()
    assert not (project.root / "change was here").exists()
    assert err.count("warning: ") == 1


def test_where_the_history_cannot_be_written_another_task_says_so_once_and_goes_on(project: Project) -> None:
    (project.root / "history.jsonl").mkdir()
    code, _, err = project.run("prepare")
    assert code == 0
    assert len(re.findall(r"warning: .*history", err)) == 1


def test_the_history_lies_where_the_state_is_kept(
    project: Project, tmp_path_factory: pytest.TempPathFactory
) -> None:
    kept = tmp_path_factory.mktemp("kept") / "state"
    assert project.run("change-it", INVOKE_SWIFTDEPLOY_STATE=str(kept))[0] == 0
    assert (kept / "history.jsonl").is_file()
    assert not (project.root / "history.jsonl").exists()
    assert not (project.root / ".swiftdeploy").exists()


def test_outside_a_project_a_reader_leaves_no_trace(tmp_path: Path) -> None:
    with ExitStack() as stack:
        code, _, _ = Project(tmp_path, stack).run("check")
    assert code == 0
    assert [path.name for path in tmp_path.iterdir()] == ["check was here"]


def test_a_state_folder_that_is_not_ours_is_2_before_anything_is_done(project: Project) -> None:
    (project.root / "notes").mkdir()
    (project.root / "notes" / "mine.txt").write_text("mine")
    code, out, _ = project.run("change-it", "--json", INVOKE_SWIFTDEPLOY_STATE="notes")
    assert (code, document(out)["error"]["kind"]) == (2, "PreflightError")
    assert not (project.root / "check was here").exists()
    assert [path.name for path in (project.root / "notes").iterdir()] == ["mine.txt"]


def test_a_verb_that_writes_cannot_be_run_dry(project: Project) -> None:
    code, _, err = project.run("--dry", "prepare")
    assert code == 1
    assert "cannot be run dry" in err
    assert not (project.root / "prepare was here").exists()


def test_one_that_was_killed_is_put_on_record_once_by_the_next_that_writes(project: Project) -> None:
    killed = project.waiting("change-it", CHANGE="wait")
    killed.kill()
    killed.wait(timeout=20)
    (project.root / ".swiftdeploy" / ".target.json.swiftdeploy-new").write_text("half")
    project.run("check")
    assert project.records("cut_off") == []
    code, out, _ = project.run("change-it")
    assert code == 0
    (record,) = project.records("cut_off")
    assert (record["verb"], record["pid"], record["outcome"]) == ("change-it", killed.pid, "found")
    assert record["user"] and record["since"].endswith("Z")
    assert f"pid {killed.pid}, since {record['since']}) was killed" in out
    assert not (project.root / ".swiftdeploy" / ".target.json.swiftdeploy-new").exists()
    project.run("change-it")
    assert project.records("cut_off") == [record]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_one_that_was_interrupted_came_to_its_end_and_was_not_killed(
    project: Project, number: signal.Signals
) -> None:
    ended = project.waiting("change-it", CHANGE="wait")
    ended.send_signal(number)
    assert ended.wait(timeout=20) == 130
    assert project.run("change-it")[0] == 0
    assert project.records("cut_off") == []

"""Which processes are ours: found by note, environment, session or log, while others come and go."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from swiftdeploy_tasks import settings
from swiftdeploy_tasks.engines.local import (
    launch,
    process_checks,
    process_table,
    processes,
    proxy_process,
    start_notes,
)
from swiftdeploy_tasks.engines.local.local_engine import LocalEngine
from swiftdeploy_tasks.errors import ProxyError
from swiftdeploy_tasks.manifest import loading, model
from swiftdeploy_tasks.manifest.model import Stop
from swiftdeploy_tasks.proxy.probe import until


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "p" / ".swiftdeploy"
    (folder / "logs").mkdir(parents=True)
    yield folder
    now = folder if folder.is_dir() else tmp_path / "q" / ".swiftdeploy"
    processes.end_all(str(now), lambda one: True)


def start(home: Path, *words: str) -> psutil.Process:
    started = launch.start(
        words,
        environment={
            processes.HOME: str(home),
            processes.PART: "app",
            processes.SLOT: "blue",
            processes.PORT: "1",
        },
        folder=home,
        log=home / "logs" / "app-blue.log",
    )
    return psutil.Process(started.pid)


def named(pid: int, name: str) -> bool:
    try:
        return name in psutil.Process(pid).cmdline()
    except psutil.Error:
        return False


def found(home: Path) -> dict[int, str]:
    return {one.process.pid: one.environment[processes.SLOT] for one in processes.ours(str(home))}


def lives(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


def test_a_process_is_found_though_its_environment_is_never_shown(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process_table, "_environment", lambda pid: b"")
    started = start(home, "sleep", "30")
    assert found(home) == {started.pid: "blue"}


def test_a_process_that_erased_its_environment_is_found_and_ended_with_its_children(home: Path) -> None:
    started = start(home, "env", "-i", "/bin/sh", "-c", "/bin/sleep 31 & exec /bin/sleep 30")
    assert until(lambda: named(started.pid, "30") and len(started.children()) == 1, seconds=20)
    (child,) = started.children()
    assert found(home) == {started.pid: "blue", child.pid: "blue"}
    assert processes.end_all(str(home), lambda one: True) == []
    assert not lives(started)
    assert not lives(child)


def test_what_a_dead_process_left_without_an_environment_is_found(home: Path) -> None:
    started = start(home, "env", "-i", "/bin/sh", "-c", "/bin/sleep 31 & echo $! > pid; exec /bin/sleep 30")
    assert until(lambda: (home / "pid").exists() and (home / "pid").read_text().endswith("\n"), seconds=20)
    child = psutil.Process(int((home / "pid").read_text()))
    started.kill()
    assert until(lambda: not lives(started), seconds=20)
    assert found(home) == {child.pid: "blue"}
    processes.end_all(str(home), lambda one: True)
    assert not lives(child)


def test_a_daemon_without_an_environment_that_prints_into_our_log_is_found(home: Path) -> None:
    """It has left the session and the folder of what started it."""
    start(home, "env", "-i", "/bin/sh", "-c", "cd /; setsid sleep 32 & echo $! > '" + str(home) + "/pid'")
    assert until(lambda: (home / "pid").exists() and (home / "pid").read_text().endswith("\n"), seconds=20)
    daemon = psutil.Process(int((home / "pid").read_text()))
    assert until(lambda: os.getsid(daemon.pid) == daemon.pid, seconds=20)
    assert until(lambda: found(home) == {daemon.pid: "blue"}, seconds=20)


def test_a_process_that_is_found_after_its_folder_was_renamed(home: Path, tmp_path: Path) -> None:
    started = start(home, "sleep", "30")
    (tmp_path / "p").rename(tmp_path / "q")
    moved = tmp_path / "q" / ".swiftdeploy"
    assert found(moved) == {started.pid: "blue"}
    assert processes.other_home("x", str(moved)) == ("", ())


def test_a_copy_of_a_state_folder_owns_none_of_the_processes(home: Path, tmp_path: Path) -> None:
    start(home, "sleep", "30")
    subprocess.run(["cp", "-a", tmp_path / "p", tmp_path / "copy"], check=True)
    assert found(tmp_path / "copy" / ".swiftdeploy") == {}


def test_a_note_of_another_process_of_the_same_pid_is_not_believed(home: Path) -> None:
    with subprocess.Popen(["sleep", "30"], cwd="/", start_new_session=True) as other:
        marks = {processes.HOME: str(home), processes.SLOT: "blue"}
        start_notes.note(home, other.pid, marks)
        note = home / "run" / "started" / f"{other.pid}.json"
        start = start_notes.start_of(other.pid)
        note.write_text(note.read_text().replace(start, f"{start}1"))
        try:
            assert found(home) == {}
        finally:
            other.kill()


def test_notes_of_processes_that_are_gone_are_removed(home: Path) -> None:
    start(home, "sleep", "30")
    assert len(list((home / "run" / "started").iterdir())) == 1
    processes.end_all(str(home), lambda one: True)
    assert list((home / "run" / "started").iterdir()) == []


def test_this_process_and_what_it_started_are_no_part_of_the_slot_that_they_run_in(home: Path) -> None:
    program = (
        "import subprocess, sys, time\n"
        "from swiftdeploy_tasks.engines.local import processes\n"
        "with subprocess.Popen(['sleep', '33'], env={}, executable='/bin/sleep') as child:\n"
        "    seen = [one.process.pid for one in processes.ours(sys.argv[1])]\n"
        "    child.kill()\n"
        "print(seen, flush=True)\n"
    )
    (home / "verb.py").write_text(program)
    words = f"'{sys.executable}' verb.py '{home}' > seen.part; mv seen.part seen; exec sleep 30"
    started = start(home, "sh", "-c", words)
    assert until((home / "seen").exists, seconds=60)
    assert (home / "seen").read_text().strip() == f"[{started.pid}]"


def test_a_launch_that_a_process_of_another_launch_started_is_seen_as_a_launch_of_its_own(home: Path) -> None:
    code = (
        "import os, subprocess, time; "
        "os.environ.update(SWIFTDEPLOY_SLOT='green', APP_PORT='2'); "
        "subprocess.Popen(['sleep', '1000']); time.sleep(1000)"
    )
    first = start(home, sys.executable, "-c", code)
    until(lambda: len(processes.ours(str(home))) == 2, seconds=10)
    mine = processes.ours(str(home))
    assert {processes.launch_of(one) for one in processes.heads(mine)} == {("blue", "1"), ("green", "2")}
    assert first.pid in {one.process.pid for one in processes.heads(mine)}


VANISHING = ("create_time", "status", "uids", "send_signal", "kill", "cmdline")


@pytest.mark.parametrize("call", VANISHING)
def test_a_process_that_ends_at_any_look_is_left_out(
    home: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """The real process table is too quick to be caught at each moment."""
    started = start(home, "sleep", "30")
    engine = LocalEngine(home.parent, home)
    real = getattr(psutil.Process, call)

    def ended(process: psutil.Process, *words: Any, **options: Any) -> Any:
        if process.pid == started.pid:
            raise psutil.NoSuchProcess(process.pid)
        return real(process, *words, **options)

    monkeypatch.setattr(psutil.Process, call, ended)
    engine.observe()
    assert proxy_process.workers(psutil.Process(started.pid)) == {}
    monkeypatch.setattr(processes, "_stop", lambda _: Stop(timeout=0))
    monkeypatch.setattr(processes, "KILL_SECONDS", 0.1)
    processes.end(processes.ours(str(home)))


@pytest.mark.parametrize("file", ["status", "environ", "cmdline"])
def test_a_process_that_ends_while_the_table_is_read_is_left_out(
    home: Path, monkeypatch: pytest.MonkeyPatch, file: str
) -> None:
    started = start(home, "sleep", "30")
    real = process_table._read

    def ended(pid: int, name: str) -> bytes:
        if (pid, name) == (started.pid, file):
            raise ProcessLookupError
        return real(pid, name)

    monkeypatch.setattr(process_table, "_read", ended)
    assert proxy_process.master(home) is None
    assert found(home) == ({started.pid: "blue"} if file == "cmdline" else {})


def test_a_service_whose_children_come_and_go_is_seen_at_every_look(home: Path) -> None:
    started = start(home, "sh", "-c", "(while sleep 0.01; do /bin/true; done) & exec sleep 60")
    engine = LocalEngine(home.parent, home)
    for _ in range(50):
        assert set(engine.observe().slots) == {"blue"}
        assert engine.observe().strangers == ()
    assert engine.stop("app-blue") == ()
    assert not lives(started)
    assert found(home) == {}


def test_an_nginx_that_has_ended_has_no_workers_and_cannot_be_reloaded() -> None:
    with subprocess.Popen(["true"]) as ended:
        process = psutil.Process(ended.pid)
    assert proxy_process.workers(process) == {}
    with pytest.raises(ProxyError, match="does not run any more"):
        proxy_process.reload(process)


def test_processes_whose_state_folder_is_gone_are_named_with_the_command_that_ends_them(
    home: Path, tmp_path: Path
) -> None:
    asked = manifest_of(tmp_path)
    marks = {processes.HOME: str(tmp_path / "gone"), processes.PROJECT: asked.name}
    with subprocess.Popen(["sleep", "30"], env=marks | {"PATH": os.environ["PATH"]}) as left:
        try:
            assert until(lambda: named(left.pid, "sleep"), seconds=20)
            found = next(
                f for f in process_checks.all_of(asked, tmp_path, home, with_opa=False) if f.name == "engine"
            )
        finally:
            left.kill()
    assert found.passed is False
    assert f"(pid {left.pid})" in found.message
    assert found.next == f"kill {left.pid}"


def manifest_of(folder: Path) -> model.Manifest:
    (folder / "manifest.yaml").write_text(
        "name: left-behind\nservices: {image: 'x:1', port: 3000}\nnginx: {image: nginx, port: 8080}\n"
        "network: {name: n, driver_type: bridge}\nengine: local\n"
    )
    places = settings.find(folder)
    return loading.load(places.manifest, schema=places.schema)


@pytest.mark.skipif(os.getuid() != 0, reason="needs root")
def test_a_process_that_changed_its_user_is_found_and_ended(home: Path) -> None:
    program = "import os, time; os.setuid(65534); time.sleep(60)"
    started = start(home, sys.executable, "-c", program)
    assert until(lambda: started.uids().real == 65534, seconds=20)
    assert found(home) == {started.pid: "blue"}
    assert processes.end_all(str(home), lambda one: True) == []
    assert not lives(started)

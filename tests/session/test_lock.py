from __future__ import annotations

import json
import os
import pwd
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from swiftdeploy_tasks.errors import LockHeld, PreflightError
from swiftdeploy_tasks.proxy import probe
from swiftdeploy_tasks.session import lock

# Takes the lock, says so, and keeps it until its stdin ends; with a third word it also leaves a child.
HOLDER = """
import subprocess, sys
from pathlib import Path
from swiftdeploy_tasks.session import lock
print("waiting", flush=True)
lock.acquire(Path(sys.argv[1]), verb="deploy", wait=float(sys.argv[2]))
if sys.argv[3:]:
    nothing = subprocess.DEVNULL
    child = subprocess.Popen(["sleep", "60"], close_fds=False, stdin=nothing, stdout=nothing)
    print(child.pid, flush=True)
print("held", flush=True)
sys.stdin.read()
"""

Hold = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[Hold]:
    with ExitStack() as stack:

        def start(*words: str, wait: float = 0.0) -> subprocess.Popen[str]:
            process = subprocess.Popen(
                [sys.executable, "-c", HOLDER, str(tmp_path / "state"), str(wait), *words],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            stack.enter_context(process)
            stack.callback(process.kill)
            assert said(process) == "waiting"
            return process

        yield start


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    return process.stdout.readline().strip()


def acquire(tmp_path: Path, *, wait: float = 0.0) -> int:
    return lock.acquire(tmp_path / "state", verb="teardown", wait=wait).descriptor


def test_a_second_process_is_refused_and_the_error_names_the_holder(tmp_path: Path, holder: Hold) -> None:
    first = holder()
    assert said(first) == "held"
    with pytest.raises(LockHeld) as refused:
        acquire(tmp_path)
    for words in (f"user {pwd.getpwuid(os.getuid()).pw_name}", f"pid {first.pid}", "deploy"):
        assert words in refused.value.message
    assert refused.value.next == "invoke teardown --wait 60"


def test_it_is_free_when_its_holder_ends(tmp_path: Path, holder: Hold) -> None:
    first = holder()
    assert said(first) == "held"
    first.communicate(timeout=20)
    os.close(acquire(tmp_path))


def test_it_is_free_when_its_holder_is_killed(tmp_path: Path, holder: Hold) -> None:
    first = holder()
    assert said(first) == "held"
    first.send_signal(signal.SIGKILL)
    first.wait(timeout=20)
    os.close(acquire(tmp_path))


def test_a_child_that_outlives_the_holder_does_not_keep_it(tmp_path: Path, holder: Hold) -> None:
    first = holder("with a child")
    child = psutil.Process(int(said(first)))
    try:
        assert said(first) == "held"
        first.send_signal(signal.SIGKILL)
        first.wait(timeout=20)
        assert child.is_running()
        os.close(acquire(tmp_path))
    finally:
        child.kill()


def test_the_next_holder_gets_the_one_that_was_killed(tmp_path: Path, holder: Hold) -> None:
    first = holder()
    assert said(first) == "held"
    first.send_signal(signal.SIGKILL)
    first.wait(timeout=20)
    held = lock.acquire(tmp_path / "state", verb="teardown", wait=0)
    assert held.cut_off and (held.cut_off.verb, held.cut_off.pid) == ("deploy", first.pid)
    held.sign_off()
    os.close(held.descriptor)
    again = lock.acquire(tmp_path / "state", verb="teardown", wait=0)
    assert again.cut_off is None
    os.close(again.descriptor)


def test_one_that_waits_gets_it_when_it_is_free(holder: Hold) -> None:
    first = holder()
    assert said(first) == "held"
    second = holder(wait=30)
    first.communicate(timeout=20)
    assert said(second) == "held"


def test_the_error_after_waiting_names_the_holder_and_the_wait(tmp_path: Path, holder: Hold) -> None:
    assert said(holder()) == "held"
    with pytest.raises(LockHeld, match=r"locked by deploy .*; waited 0\.2 s"):
        acquire(tmp_path, wait=0.2)


def test_the_name_of_a_former_holder_does_not_stay(tmp_path: Path, holder: Hold) -> None:
    first = holder()
    assert said(first) == "held"
    first.communicate(timeout=20)
    with (tmp_path / "state" / "lock").open("ab") as file:
        file.write(b" of a far longer name than the next one has")
    second = holder()
    assert said(second) == "held"
    with pytest.raises(LockHeld) as refused:
        acquire(tmp_path)
    assert f"pid {second.pid}" in refused.value.message
    assert f"pid {first.pid}" not in refused.value.message


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"verb": "deploy"}', b"\xff"])
def test_a_holder_that_cannot_be_read_is_another_invocation(
    tmp_path: Path, holder: Hold, content: bytes
) -> None:
    assert said(holder()) == "held"
    (tmp_path / "state" / "lock").write_bytes(content)
    with pytest.raises(LockHeld, match="by another invocation"):
        acquire(tmp_path)


def test_a_refused_process_keeps_no_descriptor(tmp_path: Path, holder: Hold) -> None:
    assert said(holder()) == "held"
    me = psutil.Process()
    before = me.num_fds()
    for _ in range(3):
        with pytest.raises(LockHeld):
            acquire(tmp_path)
    assert me.num_fds() == before


def test_the_lock_is_for_this_user_alone(tmp_path: Path) -> None:
    os.close(acquire(tmp_path))
    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "state" / "lock").stat().st_mode & 0o777 == 0o600


def test_a_state_folder_that_cannot_be_made_is_refused_with_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file")
    with pytest.raises(PreflightError, match="cannot be written") as refused:
        acquire(tmp_path)
    assert "INVOKE_SWIFTDEPLOY_STATE" in refused.value.next


def test_who_acts_names_the_ci_run_only_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in lock.CI_RUNS.values():
        monkeypatch.delenv(name, raising=False)
    for name in lock.CLAIMS:
        monkeypatch.delenv(name, raising=False)
    assert lock.who().keys() == {"user", "uid", "host"}
    monkeypatch.setenv("CI_JOB_ID", "4711")
    assert lock.who()["ci"] == "GitLab 4711"


@pytest.mark.parametrize("name", ["LOGNAME", "USER", "LNAME", "USERNAME"])
def test_no_variable_makes_another_user(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "anything")
    assert lock.who()["user"] == pwd.getpwuid(os.getuid()).pw_name
    assert lock.who()["uid"] == os.getuid()
    assert "anything" not in json.dumps(lock.who())


def test_a_user_without_a_login_name_is_its_uid(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 4_000_000_123)
    assert (lock.who()["user"], lock.who()["uid"]) == ("4000000123", 4_000_000_123)


def test_the_person_that_sudo_and_ci_name_is_a_claim_and_never_the_user(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SUDO_USER", "ana")
    monkeypatch.setenv("GITHUB_ACTOR", "octo\x1b[2J" + "x" * 500)
    found = lock.who()
    assert found["user"] == pwd.getpwuid(os.getuid()).pw_name
    assert found["claimed"]["SUDO_USER"] == "ana"
    assert found["claimed"]["GITHUB_ACTOR"] == "octo?[2J" + "x" * 92


def test_the_holder_is_shown_with_its_claims(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUDO_USER", "ana")
    held = acquire(tmp_path)
    user = pwd.getpwuid(os.getuid()).pw_name
    assert re.search(
        rf"teardown \(user {user} on \S+, claims SUDO_USER=ana, pid ", lock.at_work(tmp_path / "state")
    )
    os.close(held)


def test_a_holder_that_an_older_version_wrote_is_read(tmp_path: Path) -> None:
    held = acquire(tmp_path)
    old = {"verb": "deploy", "user": "ana", "host": "web1", "pid": 7, "since": "2026-01-01T00:00:00Z"}
    (tmp_path / "state" / "lock").write_text(json.dumps(old))
    assert lock.at_work(tmp_path / "state") == "deploy (user ana on web1, pid 7, since 2026-01-01T00:00:00Z)"
    os.close(held)


def test_whether_it_is_held_is_seen_without_taking_it(tmp_path: Path, holder: Hold) -> None:
    state = tmp_path / "state"
    assert not lock.at_work(state)
    first = holder()
    assert said(first) == "held"
    assert f"pid {first.pid}" in lock.at_work(state)
    (state / "lock").write_text("x")
    assert lock.at_work(state) == "another invocation"
    first.kill()
    first.wait()
    assert (state / "lock").exists()
    assert not lock.at_work(state)


def test_the_holder_still_has_it_while_another_waits(tmp_path: Path, holder: Hold) -> None:
    first = holder()
    assert said(first) == "held"
    second = holder(wait=30)
    assert not probe.until(lambda: second.poll() is not None, seconds=0.3)
    with pytest.raises(LockHeld, match=f"pid {first.pid}"):
        acquire(tmp_path)

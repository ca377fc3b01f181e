"""A verb that this user cannot finish is refused before its first effect."""

from __future__ import annotations

import codecs
import os
import re
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from swiftdeploy_tasks import settings
from swiftdeploy_tasks.engines.local import start_notes
from swiftdeploy_tasks.errors import HistoryError, PreflightError
from swiftdeploy_tasks.history.store import History
from swiftdeploy_tasks.session import access

NOBODY = 65534
pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="needs root")


@pytest.fixture
def places() -> Iterator[settings.Settings]:
    """A project of `nobody` in which root has deployed; pytest's own folders are closed to `nobody`."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        root.chmod(0o755)
        for path in (root / ".swiftdeploy", root / ".swiftdeploy" / "nginx"):
            path.mkdir(mode=0o700)
            os.chown(path, NOBODY, NOBODY)
        yield settings.find(root)


@contextmanager
def user(uid: int) -> Iterator[None]:
    """Be this user in the block; Python may be closed to it, so what it loads late is loaded before."""
    codecs.lookup("ascii")
    os.setresuid(uid, uid, 0)
    try:
        yield
    finally:
        os.setresuid(0, 0, 0)


def test_a_file_of_root_in_the_state_is_refused_with_its_owner_and_the_command(
    places: settings.Settings,
) -> None:
    path = places.state / "nginx" / "nginx.conf"
    path.touch(0o600)
    with (
        user(NOBODY),
        pytest.raises(PreflightError, match=f"{re.escape(str(path))} belongs to root") as raised,
    ):
        access.refuse_another_user(places)
    assert raised.value.next == f"sudo invoke teardown && sudo chown -R nobody {places.state}"


def test_the_command_takes_over_the_history_too(places: settings.Settings) -> None:
    (places.state / "nginx" / "nginx.conf").touch(0o600)
    rotated = places.history.with_name("history.jsonl.000001")
    for path in (places.history, rotated):
        path.touch(0o600)
    with user(NOBODY), pytest.raises(PreflightError) as raised:
        access.refuse_another_user(places)
    assert raised.value.next.endswith(f"chown -R nobody {places.state} {places.history} {rotated}")


def test_a_history_of_root_is_named_with_the_command_that_takes_it_over(places: settings.Settings) -> None:
    places.history.touch(0o600)
    with user(NOBODY), pytest.raises(HistoryError, match="Permission denied") as raised:
        History(places.history, places.state).append("started", "deploy", "r", "ok")
    assert raised.value.next == f"sudo chown {NOBODY} {places.history}"


def test_a_folder_of_root_in_the_state_is_refused(places: settings.Settings) -> None:
    (places.state / "run").mkdir(mode=0o700)
    with user(NOBODY), pytest.raises(PreflightError, match="run belongs to root and is closed to nobody"):
        access.refuse_another_user(places)


def test_one_s_own_files_and_those_of_an_app_are_no_reason(places: settings.Settings) -> None:
    (places.state / "counts").mkdir(mode=0o700)
    with user(NOBODY):
        (places.state / "head.json").touch(0o400)
        access.refuse_another_user(places)
    access.refuse_another_user(places)


def test_a_noted_process_of_another_user_is_refused_as_long_as_it_lives(places: settings.Settings) -> None:
    marks = {start_notes.HOME: str(places.state), start_notes.SLOT: "blue"}
    with subprocess.Popen(["sleep", "30"], user=NOBODY) as process:
        try:
            with user(NOBODY):
                start_notes.note(places.state, process.pid, marks)
            with pytest.raises(
                PreflightError, match=rf"app-blue \(pid {process.pid}\) was started by nobody"
            ) as raised:
                access.refuse_another_user(places)
        finally:
            process.kill()
    assert raised.value.next == "sudo -u nobody invoke teardown"
    access.refuse_another_user(places)

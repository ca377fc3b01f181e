"""The child process that the embedded engine runs in: what it keeps of its parent, and how it ends."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from swiftdeploy_tasks import lock
from swiftdeploy_tasks.gate.cell import SECONDS
from swiftdeploy_tasks.probe import until

# Holds the project's lock, and asks a policy that never comes to an answer.
PARENT = """
import os, sys, time
from pathlib import Path
from swiftdeploy_tasks import lock
from swiftdeploy_tasks.gate.bundle import Bundle
from swiftdeploy_tasks.gate.cell import decide

def load(bundle):
    def judge(domain, text):
        print(os.getpid(), flush=True)
        while True:
            time.sleep(1)
    return judge

held = lock.acquire(Path(sys.argv[1]), verb="deploy", wait=0)
decide(load, Bundle((), "", "0"), "canary", "{}")
"""


# Asks an engine that crashes, where core dumps are on.
CRASH = """
import os, resource
from swiftdeploy_tasks.errors import GateUnavailable
from swiftdeploy_tasks.gate.bundle import Bundle
from swiftdeploy_tasks.gate.cell import decide

resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
before = resource.getrlimit(resource.RLIMIT_CORE)
try:
    decide(lambda bundle: lambda domain, text: os.abort(), Bundle((), "", "0"), "canary", "{}")
except GateUnavailable as error:
    print(error.message)
print("limit before", before, "after", resource.getrlimit(resource.RLIMIT_CORE))
"""


@pytest.fixture
def orphan(tmp_path: Path) -> Iterator[psutil.Process]:
    """The child that is left when its parent is killed while a policy is evaluated."""
    words = [sys.executable, "-c", PARENT, str(tmp_path)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
    yield child
    if child.is_running():
        child.kill()


def test_the_lock_is_free_as_soon_as_its_holder_is_killed(orphan: psutil.Process, tmp_path: Path) -> None:
    assert lock.acquire(tmp_path, verb="deploy", wait=0).descriptor > 0
    assert orphan.is_running()


def test_an_engine_that_crashes_leaves_no_core_of_what_it_held(tmp_path: Path) -> None:
    words = [sys.executable, "-c", CRASH]
    ended = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0, ended.stderr
    assert "died while it judged canary (exit -6)" in ended.stdout
    assert "limit before (-1, -1) after (-1, -1)" in ended.stdout
    assert list(tmp_path.iterdir()) == []


def test_an_evaluation_that_never_ends_is_ended_without_its_parent(orphan: psutil.Process) -> None:
    def gone() -> bool:
        return not orphan.is_running() or orphan.status() == psutil.STATUS_ZOMBIE

    assert until(gone, seconds=2 * SECONDS)

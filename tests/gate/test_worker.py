"""The child process that the embedded engine runs in: what it keeps of its parent, and how it ends."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from swiftdeploy_tasks.errors import GateUnavailable
from swiftdeploy_tasks.gate.bundle import Bundle
from swiftdeploy_tasks.gate.worker import SECONDS, decide
from swiftdeploy_tasks.proxy.probe import until
from swiftdeploy_tasks.session import lock
from tests.gate import stand_ins

ROOT = Path(__file__).parents[2]
POLICIES = ROOT / "policies"

# Holds the project's lock, and asks a policy that never comes to an answer.
PARENT = """
import sys
from pathlib import Path
from swiftdeploy_tasks.session import lock
from swiftdeploy_tasks.gate.bundle import Bundle
from swiftdeploy_tasks.gate.worker import decide
from tests.gate import stand_ins

held = lock.acquire(Path(sys.argv[1]), verb="deploy", wait=0)
decide(stand_ins.endless, Bundle((), "", "0"), "canary", sys.argv[2])
"""


# Asks an engine that crashes, where core dumps are on.
CRASH = """
import resource
from swiftdeploy_tasks.errors import GateUnavailable
from swiftdeploy_tasks.gate.bundle import Bundle
from swiftdeploy_tasks.gate.worker import decide
from tests.gate import stand_ins

resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
before = resource.getrlimit(resource.RLIMIT_CORE)
try:
    decide(stand_ins.crashing, Bundle((), "", "0"), "canary", "{}")
except GateUnavailable as error:
    print(error.message)
print("limit before", before, "after", resource.getrlimit(resource.RLIMIT_CORE))
"""

# Asks about the policies that ship, in a program that has loaded another native library.
BESIDE = """
import sys
from pathlib import Path
import greenlet
from swiftdeploy_tasks.gate import read_bundle
from swiftdeploy_tasks.gate.embedded import check_bundle

print(sorted(check_bundle(read_bundle(Path(sys.argv[1]), {}), required=("canary",))))
"""


def _run(code: str, *words: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable,
        "-c",
        f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{code}",
        *map(str, words),
    ]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=60)


@pytest.fixture
def orphan(tmp_path: Path) -> Iterator[psutil.Process]:
    """The child that is left when its parent is killed while a policy is evaluated."""
    noted = tmp_path / "pid"
    with subprocess.Popen([sys.executable, "-c", PARENT, str(tmp_path), str(noted)], cwd=ROOT) as parent:
        assert until(noted.exists, seconds=2 * SECONDS)
        child = psutil.Process(int(noted.read_text()))
        parent.kill()
    yield child
    if child.is_running():
        child.kill()


def test_the_lock_is_free_as_soon_as_its_holder_is_killed(orphan: psutil.Process, tmp_path: Path) -> None:
    assert lock.acquire(tmp_path, verb="deploy", wait=0).descriptor > 0
    assert orphan.is_running()


def test_an_engine_that_crashes_leaves_no_core_of_what_it_held(tmp_path: Path) -> None:
    ended = _run(CRASH, cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert "died while it judged canary (exit -6)" in ended.stdout
    assert "limit before (-1, -1) after (-1, -1)" in ended.stdout
    assert list(tmp_path.iterdir()) == []


def test_the_engine_answers_a_program_that_has_loaded_another_native_library(tmp_path: Path) -> None:
    ended = _run(BESIDE, POLICIES, cwd=tmp_path)
    assert ended.stdout == "['canary', 'infrastructure', 'isolation']\n", ended.stderr


def test_an_evaluation_that_never_ends_is_ended_without_its_parent(orphan: psutil.Process) -> None:
    def gone() -> bool:
        return not orphan.is_running() or orphan.status() == psutil.STATUS_ZOMBIE

    assert until(gone, seconds=20 * SECONDS)


def test_an_answer_that_is_late_on_a_busy_host_is_an_answer() -> None:
    assert decide(stand_ins.delayed, Bundle((), "", "0"), "canary", "1.2", seconds=0.2) == "late"


def test_an_evaluation_that_never_ends_is_refused_with_its_bound(tmp_path: Path) -> None:
    with pytest.raises(GateUnavailable, match=r"not evaluated within 0\.2 s of processor time"):
        decide(stand_ins.endless, Bundle((), "", "0"), "canary", str(tmp_path / "pid"), seconds=0.2)

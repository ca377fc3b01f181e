"""Processes of ours on this host, known by their user and by what they carry in their environment.

A pid alone identifies no process: pids are reused. A process that carries our home and runs as this user is
ours, under whatever name; another user can set the same variables. A zombie counts as gone.
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from swiftdeploy_tasks import probe
from swiftdeploy_tasks.release import SLOTS, Slot

PROJECT, HOME, PART, SLOT, RELEASE, SPEC = (
    f"SWIFTDEPLOY_{word}" for word in ("PROJECT", "HOME", "PART", "SLOT", "RELEASE", "SPEC")
)
PORT = "APP_PORT"
_NAMED = re.compile(r"(?<!\$)\$(?:(APP_PORT|APP_HOST)\b|\{(APP_PORT|APP_HOST)\})")
INHERITED = ("PATH", "HOME", "LANG", "TZ")
GRACE = 15.0
KILL_SECONDS = 5.0
SHOWN_SECONDS = 5.0
# The 22nd field of /proc/PID/stat, counted from the one behind the name.
_START_TICKS = 19


@dataclass(frozen=True)
class Found:
    """One process of ours and the environment that it was started with."""

    process: psutil.Process
    environment: Mapping[str, str]

    @property
    def runs(self) -> bool:
        """False for one that was stopped by a signal: it answers nobody."""
        try:
            return self.process.status() not in {
                psutil.STATUS_ZOMBIE,
                psutil.STATUS_DEAD,
                psutil.STATUS_STOPPED,
            }
        except psutil.NoSuchProcess:
            return False


def is_own(process: psutil.Process) -> bool:
    """Return whether the process runs as this user; one of another user is never ours."""
    try:
        return set(process.uids()) == {os.getuid()}
    except psutil.Error:
        return False


def ours(home: str) -> Iterator[Found]:
    """Yield every process of this user whose environment carries this home, parents before their children."""
    for found in _own():
        with suppress(psutil.Error):
            if found.environment.get(HOME) == home and found.process.status() != psutil.STATUS_ZOMBIE:
                yield found


def other_home(project: str, home: str) -> str:
    """Return the home of another project of this name and user that runs on this host, "" for none."""
    for found in _own():
        if found.environment.get(PROJECT) == project and found.environment.get(HOME, home) != home:
            return found.environment[HOME]
    return ""


def _own() -> Iterator[Found]:
    """Yield every process of this user."""
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if is_own(process):
                yield Found(process, process.environ())


def start_of(pid: int) -> str:
    """Return boot id and start time of a process, which no later one of its pid has; "" when it is dead."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        after_name = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2]
    except OSError:
        return ""
    fields = after_name.split()
    return "" if fields[0] in {"Z", "X"} else f"{boot}/{fields[_START_TICKS]}"


def listening(process: psutil.Process) -> frozenset[tuple[str, int]]:
    """Return the addresses and TCP ports that the process listens on."""
    try:
        found = process.net_connections("tcp")
    except psutil.Error:
        return frozenset()
    return frozenset((one.laddr.ip, one.laddr.port) for one in found if one.status == psutil.CONN_LISTEN)


def listening_of_all(found: Sequence[Found]) -> frozenset[tuple[str, int]]:
    """Return what these processes, and those that they started, listen on."""
    family = {process for one in found for process in _family(one.process)}
    return frozenset[tuple[str, int]]().union(*map(listening, family))


def listening_of(pid: int) -> frozenset[tuple[str, int]]:
    """Return what the process with this pid listens on; nothing for 0."""
    try:
        return listening(psutil.Process(pid)) if pid else frozenset()
    except psutil.Error:
        return frozenset()


def listener(port: int) -> str:
    """Return the name and pid of a process that listens on the TCP port, as far as this user may know."""
    with suppress(psutil.Error):
        for one in psutil.net_connections("tcp"):
            if one.status == psutil.CONN_LISTEN and one.laddr[1:] == (port,) and one.pid:
                return f"{psutil.Process(one.pid).name()} (pid {one.pid})"
    return "another process"


def heads(found: Sequence[Found]) -> list[Found]:
    """Return those that were not started by another of the same."""
    pids = {one.process.pid for one in found}
    return [one for one in found if one.process.ppid() not in pids]


def by_slot(found: Sequence[Found]) -> dict[Slot, Found]:
    """Return who runs in each slot: of several, the one that came first."""
    ranked = sorted(found, key=lambda one: one.process.create_time(), reverse=True)
    return {slot: one for one in ranked for slot in SLOTS if one.environment.get(SLOT) == slot}


def strangers(found: Sequence[Found]) -> list[Found]:
    """Return those that are neither OPA nor of the launch that runs in a slot.

    What an app starts carries the port of its launch, whoever its parent is later.
    """
    launches = {(one.environment.get(SLOT), one.environment.get(PORT)) for one in by_slot(found).values()}
    return [
        one
        for one in heads(found)
        if one.environment.get(PART) != "opa"
        and (one.environment.get(SLOT), one.environment.get(PORT)) not in launches
    ]


def expanded(words: Sequence[str], environment: Mapping[str, str]) -> list[str]:
    """Return the words with $APP_PORT and $APP_HOST, or ${APP_PORT} and ${APP_HOST}, filled in."""
    return [_NAMED.sub(lambda found: environment[found[1] or found[2]], word) for word in words]


def start(
    words: Sequence[str], *, environment: Mapping[str, str], folder: Path, log: Path
) -> subprocess.Popen[bytes]:
    """Start a process that outlives us, in a session of its own, printing into `log`; raises OSError.

    It can be found when this returns: the kernel shows a new program's environment a moment after it runs.
    """
    kept = {name: os.environ[name] for name in INHERITED if name in os.environ}
    with log.open("wb") as out:
        started = subprocess.Popen(
            [sys.executable if words[0] == "python" else words[0], *words[1:]],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env={**kept, **environment},
            start_new_session=True,
        )
    probe.until(lambda: _is_shown(started), seconds=SHOWN_SECONDS, every=0.005)
    return started


def _is_shown(started: subprocess.Popen[bytes]) -> bool:
    """Return whether the process can be told by its environment, or has ended already."""
    try:
        return started.poll() is not None or HOME in psutil.Process(started.pid).environ()
    except psutil.Error:
        return False


def end(found: Sequence[Found]) -> None:
    """Ask each to end, wait, and kill what is left after the grace time."""
    processes = list(dict.fromkeys(process for one in found for process in _family(one.process)))
    for process in processes:
        try:
            process.resume() if process.status() == psutil.STATUS_STOPPED else None
            process.terminate()
        except psutil.NoSuchProcess:
            continue
    for process in still_alive(processes, seconds=GRACE):
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    still_alive(processes, seconds=KILL_SECONDS)


def still_alive(processes: Sequence[psutil.Process], *, seconds: float) -> list[psutil.Process]:
    """Wait up to `seconds` for all to end; return those that have not. A dead one need not be reaped."""
    probe.until(lambda: not any(map(_lives, processes)), seconds=seconds)
    return [process for process in processes if _lives(process)]


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() not in {psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD}
    except psutil.NoSuchProcess:
        return False


def _family(process: psutil.Process) -> list[psutil.Process]:
    """Return the process and what it started, which need not carry our environment any more."""
    try:
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return [process]


def free_port() -> int:
    """Return a port of 127.0.0.1 on which nothing listens now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port

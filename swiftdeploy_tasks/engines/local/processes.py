"""Our processes on this host.

A process is ours when this user runs it and one of these holds: its start was noted, its environment carries
the home, it belongs to the session of a noted process, it writes to one of our logs, or its parent is ours.
Processes that end while the table is read are left out.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from swiftdeploy_tasks.engines.local import process_table, start_notes
from swiftdeploy_tasks.engines.local.process_table import Row
from swiftdeploy_tasks.engines.local.start_notes import StartNote
from swiftdeploy_tasks.manifest.model import Stop
from swiftdeploy_tasks.model.release import SLOTS, Slot, from_label
from swiftdeploy_tasks.proxy import probe

PROJECT, HOME, PART, SLOT, RELEASE, SPEC = start_notes.MARKS
PORT = "APP_PORT"
KILL_SECONDS = 5.0
ROUNDS = 3
_GONE = {psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD}


@dataclass(frozen=True)
class Found:
    """One process of ours when the table was read; it may have ended since.

    `environment` is the one that it was started with, as far as it can be read, and what was noted of it;
    `carries` is False where only the note is left. `runs` is False for one that was stopped by a signal: it
    answers no request. `since` is unix seconds.
    """

    process: psutil.Process
    environment: Mapping[str, str]
    parent: int
    since: float
    runs: bool
    carries: bool


def is_own(process: psutil.Process) -> bool:
    """Return whether the process runs as this user; one of another user is never ours."""
    try:
        return set(process.uids()) == {os.getuid()}
    except psutil.Error:
        return False


def ours(home: str) -> list[Found]:
    """Return every process of this project and user, this process left out, the oldest first."""
    notes = start_notes.noted(Path(home))
    started = {note.pid for note in notes if note.user == os.getuid() and note.lives}
    table = {row.pid: row for row in process_table.rows(started) if row.pid != os.getpid()}
    homes = {home} | {note.home for note in notes if not Path(note.home).exists()}
    marked: dict[int, Mapping[str, str]] = {pid: {} for pid, row in table.items() if row.value(HOME) in homes}
    marked |= {note.pid: note.marks for note in notes if note.pid in started & table.keys()}
    _mark_the_rest(marked, table, notes, home)
    found = [one for pid, marks in marked.items() for one in _found(table[pid], marks)]
    return sorted(found, key=lambda one: (one.since, one.process.pid))


def _found(row: Row, marks: Mapping[str, str]) -> Iterator[Found]:
    """Yield the process of this row, nothing where it has ended since."""
    with suppress(psutil.Error):
        process, runs = psutil.Process(row.pid), row.status != process_table.STOPPED
        environment = {**row.environment, **marks}
        yield Found(process, environment, row.parent, process.create_time(), runs, HOME in row.environment)


def _mark_the_rest(
    marked: dict[int, Mapping[str, str]], table: Mapping[int, Row], notes: Sequence[StartNote], home: str
) -> None:
    """Mark what prints into our logs, the sessions of noted processes, and what a marked one started.

    What this process started is no part of a slot, even in the slot's session; nor is what has another home.
    """
    homes = {home, *(note.home for note in notes)}
    sessions = {note.pid: note for note in notes}
    logs = {f"{home}/logs/app-{slot}.log": {HOME: home, PART: "app", SLOT: slot} for slot in SLOTS}
    left = [
        pid
        for pid, row in table.items()
        if pid not in marked and row.value(HOME, home) in homes and not _is_below_us(pid, table, marked)
    ]
    for pid in left:
        note = sessions.get(_session(pid))
        if note and (note.pid in marked or (note.pid not in table and _works_in(pid, Path(home).parent))):
            marked[pid] = note.marks
        elif printed := _outputs(pid) & logs.keys():
            marked[pid] = logs[printed.pop()]
    while more := [pid for pid in left if pid not in marked and table[pid].parent in marked]:
        for pid in more:
            parent = table[pid].parent
            known = {**table[parent].environment, **marked[parent]}
            marked[pid] = {name: known[name] for name in (*start_notes.MARKS, PORT) if name in known}


def _is_below_us(pid: int, table: Mapping[int, Row], marked: Mapping[int, Mapping[str, str]]) -> bool:
    """Return whether it was started by this process, by others or not, and by no marked one between."""
    seen = set[int]()
    while pid in table and pid not in seen and pid not in marked:
        seen.add(pid)
        pid = table[pid].parent
    return pid == os.getpid()


def _session(pid: int) -> int:
    """Return the pid of the leader of its session, 0 for a process that has ended."""
    try:
        return os.getsid(pid)
    except OSError:
        return 0


def _works_in(pid: int, folder: Path) -> bool:
    """Return whether its current folder lies in `folder`.

    A later session can have the number of one whose leader is dead: the number alone proves nothing.
    """
    with suppress(OSError):
        return Path(f"/proc/{pid}/cwd").readlink().is_relative_to(folder)
    return False


def _outputs(pid: int) -> set[str]:
    """Return the paths of what the process prints into."""
    found = set()
    for number in (1, 2):
        with suppress(OSError):
            found.add(str(Path(f"/proc/{pid}/fd/{number}").readlink()))
    return found


def other_home(project: str, home: str) -> tuple[str, tuple[int, ...]]:
    """Return the home of another project of this name and user, and its pids; ("", ()) where none runs."""
    mine = {one.process.pid for one in ours(home)} | {os.getpid()}
    others: dict[str, list[int]] = {}
    for row in process_table.rows():
        there = row.value(HOME, home)
        if row.value(PROJECT) == project and there != home and row.pid not in mine:
            others.setdefault(there, []).append(row.pid)
    return next(((there, tuple(pids)) for there, pids in others.items()), ("", ()))


def listening(process: psutil.Process) -> frozenset[tuple[str, int]]:
    """Return the addresses and TCP ports that the process listens on."""
    try:
        found = process.net_connections("tcp")
    except psutil.Error:
        return frozenset()
    return frozenset((one.laddr.ip, one.laddr.port) for one in found if one.status == psutil.CONN_LISTEN)


def listening_of_all(found: Sequence[Found]) -> frozenset[tuple[str, int]]:
    """Return what these processes listen on."""
    return frozenset[tuple[str, int]]().union(*(listening(one.process) for one in found))


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
    """Return those that no other of their launch has started.

    Where an app deploys its own next release, the new slot is a child of the old one, and of another launch.
    """
    launches = {one.process.pid: launch_of(one) for one in found}
    return [one for one in found if launches.get(one.parent) != launch_of(one)]


def launch_of(one: Found) -> tuple[str | None, str | None]:
    """Return the slot and the port that it was started with; what an app starts carries its own."""
    return one.environment.get(SLOT), one.environment.get(PORT)


def by_slot(found: Sequence[Found]) -> dict[Slot, Found]:
    """Return what runs in each slot: of several, one whose release is known, and of those the oldest."""
    ranked = sorted(found, key=lambda one: (RELEASE in one.environment, -one.since))
    return {slot: one for one in ranked for slot in SLOTS if one.environment.get(SLOT) == slot}


def strangers(found: Sequence[Found]) -> list[Found]:
    """Return those that are neither OPA nor of the launch that runs in a slot."""
    launches = {launch_of(one) for one in by_slot(found).values()}
    return [
        one for one in heads(found) if one.environment.get(PART) != "opa" and launch_of(one) not in launches
    ]


def end(found: Sequence[Found]) -> None:
    """Send each its stop signal, wait for the longest of their time-outs, and kill what is left."""
    processes = [one.process for one in found]
    stops = [_stop(one) for one in found]
    for process, stop in zip(processes, stops, strict=True):
        with suppress(psutil.Error):
            if process.status() == psutil.STATUS_STOPPED:
                process.resume()
            process.send_signal(signal.Signals[stop.signal])
    for process in still_alive(processes, seconds=max((stop.timeout for stop in stops), default=0)):
        with suppress(psutil.Error):
            process.kill()
    still_alive(processes, seconds=KILL_SECONDS)


def _stop(one: Found) -> Stop:
    """Return the stop signal and time-out of the release that this process runs."""
    release = from_label(one.environment.get(RELEASE, ""))
    return release.stop if release else Stop()


def end_all(home: str, chosen: Callable[[Found], bool]) -> list[Found]:
    """End what is chosen of ours, and what that started meanwhile; return what still lives.

    Killed ones are looked for again, because a process can start another while it is being ended.
    """
    for _ in range(ROUNDS):
        if not (found := [one for one in ours(home) if chosen(one)]):
            break
        end(found)
    _forget_the_dead(Path(home))
    return [one for one in ours(home) if chosen(one)] if found else []


def _forget_the_dead(home: Path) -> None:
    """Remove the notes of processes of which nothing is left, neither themselves nor their session."""
    sessions = {_session(row.pid) for row in process_table.rows()}
    for note in start_notes.noted(home):
        if not note.lives and note.pid not in sessions:
            start_notes.forget(home, note)


def still_alive(processes: Sequence[psutil.Process], *, seconds: float) -> list[psutil.Process]:
    """Wait up to `seconds` for all to end; return those that have not. A dead one need not be reaped."""
    probe.until(lambda: not any(map(_lives, processes)), seconds=seconds)
    return [process for process in processes if _lives(process)]


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() not in _GONE
    except psutil.Error:
        return False

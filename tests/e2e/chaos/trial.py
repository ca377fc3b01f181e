"""A verb is struck in the middle, under a light load, and the next verb has to put everything right.

One project lives through many trials. A trial says what it did in words that repeat it.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import yaml

from tests.e2e.project import Project, Started, until
from tests.e2e.rollover.load import Load
from tests.e2e.test_records import verified

LAUNCH = Path(__file__).with_name("launch.py")
LEFTOVERS = ("*.swiftdeploy-new", ".copy-*", ".*.new", "target.json")
PARTS = {"nginx", "opa", "app-blue", "app-green"}
WRITING = {"render", "policy-check", "deploy", "promote", "rollback"}
MOVED = {"nginx", "app-blue", "app-green", "public port"}


@dataclass(frozen=True)
class Fault:
    """How a verb is struck: at a boundary by name, or by `signal` after `seconds`; perhaps by its child."""

    verb: str
    at: str = ""
    seconds: float = 0.0
    signals: tuple[int, ...] = (signal.SIGKILL,)
    compose: bool = False
    recover: str = ""

    def __str__(self) -> str:
        if self.at:
            return f"{self.verb}, killed at: {self.at}"
        if self.compose:
            return f"{self.verb}, its compose child killed"
        names = " and ".join(signal.Signals(number).name for number in self.signals)
        return f"{self.verb}, {names} after {self.seconds:.2f} s"


@dataclass(frozen=True)
class Recovery:
    """What a trial came to: how the struck verb ended, the seconds to put it right, what users lost."""

    code: int
    seconds: float
    failed: tuple[str, ...]
    answered: int


def begin(project: Project, number: int) -> None:
    """Have a new release serve as stable over one that it can go back to, whatever the former trial left."""
    if number == 1:
        project.set(services__version="0.9.0")
        project.deploy()
    project.set(services__version=f"{number}.0.0", services__mode="stable")
    project.deploy()


def strike(project: Project, fault: Fault) -> Recovery:
    """Strike the verb, then run one that puts it right; raises AssertionError when an invariant is broken."""
    if fault.verb == "deploy":
        _write(project, version=f"{_serving(project)[0]}-next")
    wanted = _wanted(project, fault)
    before = len(project.history())
    with Load(project.port) as load:
        code = _struck(project, fault)
        planned = project.run("plan", "--json").document()["steps"]
        is_noted = (project.state / "target.json").exists()
        assert ("recover" in [deed["action"] for deed in planned]) is is_noted, (
            f"{fault}: plan says {planned}"
        )
        began, then = time.monotonic(), len(project.history())
        if after := _next(fault, project.history()[before:]):
            project.run(after).ok()
        seconds = time.monotonic() - began
    if fault.at and after == "deploy":
        _hold_to_plan(fault, planned, project.history()[then:])
    records = project.history()[before:]
    wrote = any(row["event"] == "started" and row["task"] in WRITING for row in records[: then - before])
    told = any(row["event"] == "cut_off" for row in records)
    assert told or not (wrote and after and code == -9), f"{fault}: nobody recorded that it was cut off"
    _hold(project, fault, wanted)
    return Recovery(code, seconds, tuple(load.failed), load.answered)


def _hold_to_plan(fault: Fault, planned: list[dict[str, str]], records: list[dict[str, Any]]) -> None:
    """Hold what the plan printed against what deploy then did to nginx and the slots, settling included."""
    foretold = [(deed["action"], deed["target"]) for deed in planned if deed["target"] in MOVED]
    ended = [row for row in records if row["event"] == "step" and row["outcome"] == "done"]
    done = [(row["action"], row["target"]) for row in ended]
    assert foretold == done, f"{fault}: plan says {foretold}, and {done} was done"


def _next(fault: Fault, records: list[dict[str, Any]]) -> str:
    """Return the verb that puts it right; one that came to its end all the same needs none."""
    ends = [(row["task"], row["outcome"]) for row in records if row["event"] == "finished"]
    is_done = (fault.verb, "done") in ends
    return "" if is_done and fault.verb != "deploy" else fault.recover or fault.verb


def _write(project: Project, *, version: str) -> None:
    """Change the version as an editor would: what verbs rewrote in the file stays."""
    path = project.root / "manifest.yaml"
    project.manifest = yaml.safe_load(path.read_text())
    project.set(services__version=version)


def _serving(project: Project) -> tuple[str, str]:
    said = json.loads(project.get("/").body)
    return said["version"], said["mode"]


def _wanted(project: Project, fault: Fault) -> tuple[str, str]:
    """Return (version, mode) of what has to serve when it was put right."""
    version, mode = _serving(project)
    if fault.verb == "promote":
        return version, "canary" if mode == "stable" else "stable"
    if fault.verb == "rollback":
        rows = project.run("rollback", "--list", "--json").ok().document()["releases"]
        below = [row for row in rows if not row["rolled_back"]][-2]
        return below["version"], below["mode"]
    asked = yaml.safe_load((project.root / "manifest.yaml").read_text())["services"]
    return asked["version"], asked.get("mode", "stable")


def _struck(project: Project, fault: Fault) -> int:
    """Return with what the struck verb ended."""
    if fault.at:
        return project.start_as([sys.executable, str(LAUNCH), fault.at], fault.verb).end().code
    started = project.start(fault.verb)
    if fault.compose:
        until(lambda: _compose(project, started), "a compose child was there to kill", seconds=30)
        return started.end().code
    time.sleep(fault.seconds)
    for number in fault.signals:
        started.process.send_signal(number)
        time.sleep(0.2 if len(fault.signals) > 1 else 0)
    return started.end().code


def _compose(project: Project, started: Started) -> bool:
    """Kill a compose process that works on our file; False while there is none."""
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        if str(project.state / "compose.yml") in words and "up" in words:
            os.kill(process.pid, signal.SIGKILL)
            return True
    return started.process.poll() is not None


def _hold(project: Project, fault: Fault, wanted: tuple[str, str]) -> None:
    """Hold what there is now against what has to be."""
    assert _serving(project) == wanted, f"{fault}: {_serving(project)} serves, and not {wanted}"
    parts = set(project.running())
    assert parts <= PARTS and len(parts & {"app-blue", "app-green"}) == 1, f"{fault}: {parts} run"
    left = [str(path) for sign in LEFTOVERS for path in project.root.rglob(sign)]
    assert not left, f"{fault}: {left} was left"
    verified(project)
    asked = yaml.safe_load((project.root / "manifest.yaml").read_text())["services"].get("mode", "stable")
    assert asked == wanted[1], f"{fault}: services.mode is {asked} and {wanted[1]} runs"
    if fault.verb != "rollback":
        project.run("plan", "--check").ok()


STEPS = ("start app-*", "wait app-*", "route nginx", "verify public port", "drain app-*", "remove app-*")
KEPT = ("applied", "confirm the release", "keep the manifest")
BOUNDARIES = {
    "deploy": (*STEPS, *KEPT),
    "promote": (*STEPS, *KEPT, "rewrite the mode"),
    "rollback": (*STEPS, *KEPT, "rewrite the mode"),
}

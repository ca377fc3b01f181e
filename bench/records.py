"""What does the history cost: one more record, the proof of all of them, and a dashboard left on for a day?

    python -m bench.records

Histories are made in a folder of their own, whose files are written at once; what is measured then is the
program's own code. Each verification is its own process, so that its memory can be measured. It refuses to
judge: a bound that does not hold is printed, and is no failure.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from bench.table import Row, holds, machine, show
from swiftdeploy_tasks import metrics
from swiftdeploy_tasks.history import chain, file_lock, head_file, rotation
from swiftdeploy_tasks.history.chain import GENESIS, Head
from swiftdeploy_tasks.history.head_file import HeadFile
from swiftdeploy_tasks.history.store import History
from swiftdeploy_tasks.manifest.model import Health, HistoryLimits, Resources
from swiftdeploy_tasks.metrics import Scrape
from swiftdeploy_tasks.model.release import Release
from swiftdeploy_tasks.rollout import sampling
from swiftdeploy_tasks.system import files

SOURCE = Path(__file__).resolve().parents[1]
APPEND_MS, VERIFY_SECONDS, MIB, FLAT, DAY_MB = 5.0, 2.0, 200, 1.1, 2.0
RECORDS = 100_000
INTERVAL, WINDOW = 5.0, 30.0
BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
SHARES = (2, 60, 300, 90, 20, 6, 2, 1, 0.2, 0.05, 0.01, 0.01)

Form = Callable[[int], dict[str, Any]]


@dataclass(frozen=True)
class Spent:
    """Seconds by the clock and of the processor, and the most memory of the whole process in MiB."""

    wall: float
    cpu: float
    mib: float


def main(appends: int = 2000, records: int = RECORDS, day: float = 86_400) -> None:
    """Measure `appends`, the verification of `records` and three times as many, and `day` seconds."""
    print(machine())
    with tempfile.TemporaryDirectory(prefix="swiftdeploy-bench-") as folder:
        _show_appends(Path(folder, "appends"), appends)
        _show_verifications(Path(folder, "verified"), records)
        _show_days(Path(folder, "days"), day)


def _show_appends(place: Path, times: int) -> None:
    """Appends and their floor, the same syncs without a history, take turns."""
    kinds: dict[str, Callable[[int], object]] = {
        "floor: the same syncs": _floor(place / "floor"),
        "a scrape": _appender(_history(place / "scrapes"), Dashboard().fields),
        "a step": _appender(_history(place / "steps"), _step),
        "a scrape, with a witness": _appender(
            _history(place / "witnessed", witness=str(place / "heads")), Dashboard().fields
        ),
    }
    spent: dict[str, list[float]] = {name: [] for name in kinds}
    cpu = dict.fromkeys(kinds, 0.0)
    for number in range(times):
        for name, write in kinds.items():
            began, used = time.perf_counter(), time.process_time()
            write(number)
            spent[name].append((time.perf_counter() - began) * 1000)
            cpu[name] += (time.process_time() - used) * 1000
    rows: list[Row] = []
    for name, took in spent.items():
        slow = quantiles(took, n=100, method="inclusive")[98]
        figures = f"{median(took):.2f}", f"{slow:.2f}", f"{max(took):.2f}", f"{cpu[name] / times:.2f}"
        bound = ("", "") if name.startswith("floor") else (f"p99 <= {APPEND_MS:g}", holds(slow <= APPEND_MS))
        rows.append((name, *figures, *bound))
    show(("append, ms", "p50", "p99", "slowest", "cpu", "bound", ""), rows)


def _appender(history: History, form: Form) -> Callable[[int], object]:
    fields = [form(number) for number in range(50)]
    return lambda number: history.append(run="run-1", **fields[number % 50])


def _floor(place: Path) -> Callable[[int], object]:
    """A line written and synced, and a small file replaced as the head is."""
    place.mkdir(parents=True)
    fd = os.open(place / "lines", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def write(number: int) -> None:
        os.write(fd, b"x" * 800 + b"\n")
        os.fsync(fd)
        files.replace(place / "head", "x" * 90, mode=0o600)

    return write


def _show_verifications(place: Path, records: int) -> None:
    rows: list[Row] = []
    for name, form in (("as verbs write", _mixed()), ("scrapes alone", Dashboard().fields)):
        few = _verified(place / f"{name} 1", form, records)
        many = _verified(place / f"{name} 3", form, 3 * records)
        seconds = VERIFY_SECONDS * records / RECORDS
        is_fast, is_flat = few.wall <= seconds and few.mib <= MIB, many.mib <= FLAT * few.mib
        for count, spent, bound, is_kept in (
            (records, few, f"<= {seconds:g} s, {MIB} MiB", is_fast),
            (3 * records, many, f"<= {FLAT:g} times the memory", is_flat),
        ):
            figures = f"{name}: {count:,}", f"{spent.wall:.2f}", f"{spent.cpu:.2f}", f"{spent.mib:.0f}"
            rows.append((*figures, bound, holds(is_kept)))
    show(("verify", "s", "cpu s", "MiB", "bound", ""), rows)


def _verified(place: Path, form: Form, records: int) -> Spent:
    """What a process takes that verifies a history of so many records, rotated as by default."""
    _written(place, form, records, step=1.0)
    words = [sys.executable, "-m", "bench.records", "--verify", str(place)]
    ended = subprocess.run(words, cwd=SOURCE, capture_output=True, text=True, check=True)
    found = json.loads(ended.stdout)
    assert (found["ok"], found["records"]) == (True, records), found
    return Spent(found["wall"], found["cpu"], found["mib"])


def _show_days(place: Path, seconds: float) -> None:
    rows: list[Row] = []
    for name, slots in (("one slot", ("blue",)), ("two slots all day", ("blue", "green"))):
        history = _written(place / name, Dashboard(slots).fields, int(seconds / INTERVAL), step=INTERVAL)
        began = time.process_time()
        rotation.archive(history.path, history.state / rotation.FOLDER)
        spent = time.process_time() - began
        packed = sum(path.stat().st_size for path in (history.state / "history").iterdir()) / 1e6
        bound = DAY_MB * seconds / 86_400
        limit = (f"<= {bound:g} MB", holds(packed <= bound)) if len(slots) == 1 else ("", "")
        rows.append((name, f"{seconds / INTERVAL:,.0f}", f"{packed:.2f}", f"{spent:.2f}", *limit))
    show(("scrapes, compressed", "records", "MB", "s for the last file", "bound", ""), rows)


def _history(place: Path, **limits: Any) -> History:
    place.mkdir(parents=True)
    return History(place / "history.jsonl", place / "state", HistoryLimits(**limits))


def _written(place: Path, form: Form, records: int, *, step: float) -> History:
    """A history as `append` would have left it, written in one go: nothing is synced a record."""
    history = _history(place)
    with file_lock.hold(history.state / "history.lock", to_write=True):
        head, size = GENESIS, 0
        began = 1_790_000_000.0
        out = history.path.open("wb")
        for number in range(records):
            if size >= history.limits.max_bytes:
                out.close()
                rotation.archive(history.path, history.state / rotation.FOLDER)
                out, size = history.path.open("wb"), 0
            fields = {"run": f"{number // 12:012x}", "outcome": "done", **form(number)}
            at = datetime.fromtimestamp(began + number * step, UTC).isoformat(timespec="milliseconds")
            record = chain.seal(fields, head, at.replace("+00:00", "Z"))
            head = Head.of(record)
            size += out.write(chain.line_of(record))
        out.close()
        head_file.write(history.state, HeadFile(head))
    return history


def _step(number: int) -> dict[str, Any]:
    reason = "version 1.1.0 (canary) replaces 1.1.0 (stable)"
    return {"event": "step", "task": "deploy", "action": "start", "target": "app-blue", "reason": reason}


def _mixed() -> Form:
    """What a day of verbs holds: starts, verdicts, steps, ends and a scrape."""
    scrapes = Dashboard().fields
    who = {"user": "deploy", "host": "web-1", "pid": 1234}
    checks = [
        {"rule": f"rule_{n}", "passed": True, "observed": n * 1.5, "limit": 100, "message": "x" * 60}
        for n in range(3)
    ]
    given = {"host": {"disk_free_gb": 83.56, "load_per_core": 0.31, "memory_used_percent": 41.2}}
    forms: tuple[Form, ...] = (
        lambda n: {"event": "started", "task": "deploy", "who": who, "argv": "deploy"},
        lambda n: (
            {"event": "verdict", "task": "policy-check", "domain": "infrastructure", "input": given}
            | {"checks": checks, "allow": True, "duration_ms": 2.37, "revision": "dcc37291eb34b3c6"}
        ),
        _step,
        _step,
        scrapes,
        lambda n: {"event": "finished", "task": "deploy", "exit_code": 0, "duration_ms": 5301.2},
    )
    return lambda number: forms[number % len(forms)](number)


class Dashboard:
    """The records of a dashboard over slots that serve between 8 and 50 requests a second."""

    def __init__(self, slots: tuple[str, ...] = ("blue",)) -> None:
        self.chance = random.Random(1)
        health = Health("/healthz", 1.0, 3, 60.0)
        self.release = Release(
            "sha256:0", "1.1.0", "stable", (), (), 3000, (), health, Resources(1.0, "256m"), "unless-stopped"
        )
        zero = Scrape(
            1_790_000_000.25, bounds=BOUNDS, buckets=(0,) * 12, uptime=1.0, started=1_789_999_999.25
        )
        self.seen = {slot: [replace(zero, mode="stable", chaos="none")] for slot in slots}

    def fields(self, number: int) -> dict[str, Any]:
        """The fields of the next record."""
        samples = {slot: self._sample(slot) if slot in self.seen else None for slot in ("blue", "green")}
        slots = {slot: sample.record() if sample else None for slot, sample in samples.items()}
        return {"event": "scrape", "task": "status", "slots": slots}

    def _sample(self, slot: str) -> sampling.Sample:
        earlier = self.seen[slot]
        last = earlier[-1]
        requests = self.chance.randint(40, 260)
        errors = sum(self.chance.random() < 0.003 for _ in range(requests))
        hit = self.chance.choices(range(12), SHARES, k=requests)
        passed = INTERVAL + self.chance.uniform(-0.002, 0.02)
        now = replace(
            last,
            time=last.time + passed,
            ok=last.ok + requests - errors,
            errors=last.errors + errors,
            left_out=last.left_out + 3,
            buckets=tuple(count + hit.count(index) for index, count in enumerate(last.buckets)),
            uptime=round((last.uptime or 0) + passed, 3),
        )
        self.seen[slot] = [*earlier, now][-int(WINDOW / INTERVAL) :]
        window = metrics.window(earlier[0], now)
        return sampling.Sample(self.release, 100, healthy=True, scrape=now, window=window)


def _verify(place: Path) -> None:
    began, used = time.perf_counter(), time.process_time()
    found = History(place / "history.jsonl", place / "state").verify()
    wall, cpu = time.perf_counter() - began, time.process_time() - used
    mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"ok": found.ok, "records": found.records, "wall": wall, "cpu": cpu, "mib": mib}))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--verify", type=Path)
    asked = parser.parse_args()
    main() if asked.verify is None else _verify(asked.verify)

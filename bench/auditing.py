"""What does an audit over a long history cost: seconds of a whole process, and the memory that it needs?

    python -m bench.auditing

The history is one eventful day again and again, most of it scrapes, sealed into one chain; nothing of it was
written by a verb, so that making it does not take hours.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from bench.sandbox import COMMAND
from bench.table import Row, holds, machine, show
from swiftdeploy_tasks.history import file_lock, head_file, rotation
from swiftdeploy_tasks.history.chain import GENESIS, Head, line_of, seal
from swiftdeploy_tasks.history.head_file import HeadFile
from swiftdeploy_tasks.history.store import History
from tests.report import day

SIZES = (100_000, 300_000)
SECONDS, MEBIBYTES, FLAT = 5.0, 200.0, 1.2
PAGE_SECONDS, PAGE_MEBIBYTES, PAGE_MB = 10.0, 300.0, 3.0
BEGAN = 1_700_000_000.0
COUNTERS: dict[str, Any] = {
    "bounds": "0.005 0.01 0.025 0.05 0.1 0.25 0.5 1.0 2.5 5.0 10.0",
    "buckets": [81234, 4021, 330, 12, 3, 1, 0, 0, 0, 0, 0, 0],
    **{"ok": 85590, "errors": 11, "left_out": 1200, "uptime": 5031.2, "started": None, "chaos": "none"},
}


def main(*, rounds: int = 5) -> None:
    """Print what `audit` takes over each length of history, beside its bounds."""
    print(machine())
    found = {}
    for count in SIZES:
        with tempfile.TemporaryDirectory() as folder:
            size = make(Path(folder), count)
            found[count] = [_audit(Path(folder), count) for _ in range(rounds)], size
            if count == SIZES[0]:
                pages = [_audit(Path(folder), count, "--html") for _ in range(rounds)]
                page = (Path(folder) / "audit_report.html").stat().st_size / 1e6
    rows: list[Row] = []
    first = max(peak for _, _, peak in found[SIZES[0]][0])
    for count, (runs, size) in found.items():
        wall, cpu, peak = (median(figures) for figures in zip(*runs, strict=True))
        is_first = count == SIZES[0]
        fine = wall <= SECONDS and peak <= MEBIBYTES if is_first else peak <= FLAT * first
        bound = f"<= {SECONDS:g} s, <= {MEBIBYTES:g} MiB" if is_first else f"<= {FLAT:g} times the memory"
        figures = (f"{count:,}", f"{size / 2**20:.0f}", f"{wall:.2f}", f"{cpu:.2f}", f"{peak:.0f}")
        rows.append((*figures, bound, holds(fine)))
    show(("audit of records", "MiB of them", "s", "CPU s", "peak MiB", "bound", ""), rows)
    _show_page(pages, page)
    print(f"\n{machine()}, when it ended")


def _show_page(runs: list[tuple[float, float, float]], size: float) -> None:
    wall, cpu, peak = (median(figures) for figures in zip(*runs, strict=True))
    fine = wall <= PAGE_SECONDS and peak <= PAGE_MEBIBYTES and size <= PAGE_MB
    bound = f"<= {PAGE_SECONDS:g} s, <= {PAGE_MEBIBYTES:g} MiB, <= {PAGE_MB:g} MB"
    row = (f"{SIZES[0]:,}", f"{size:.2f}", f"{wall:.2f}", f"{cpu:.2f}", f"{peak:.0f}", bound, holds(fine))
    show(("audit --html of records", "MB of page", "s", "CPU s", "peak MiB", "bound", ""), [row])


def make(folder: Path, count: int) -> int:
    """Put a project with a history of `count` records into the folder, rotated as by default.

    Returns the size of its records in bytes.
    """
    (folder / "manifest.yaml").touch()
    history = History(folder / "history.jsonl", folder / ".swiftdeploy")
    with file_lock.hold(history.state / "history.lock", to_write=True):
        head, whole, size = GENESIS, 0, 0
        file = history.path.open("wb")
        for content, at in _contents(count):
            if size >= history.limits.max_bytes:
                file.close()
                rotation.archive(history.path, history.state / rotation.FOLDER)
                file, whole, size = history.path.open("wb"), whole + size, 0
            written = datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
            record = seal(content, head, written.replace("+00:00", "Z"))
            size += file.write(line_of(record))
            head = Head.of(record)
        file.close()
        head_file.write(history.state, HeadFile(head))
    return whole + size


def _contents(count: int) -> Iterator[tuple[dict[str, Any], float]]:
    rows = day.contents()
    for number in range(count):
        again, place = divmod(number, len(rows))
        content = {"task": "deploy", "outcome": None, **rows[place]}
        after = content.pop("after")
        content["run"] = f"{content['run']}-{again}"
        for slot in filter(None, content.get("slots", {}).values()):
            slot["counters"] = COUNTERS
        yield content, BEGAN + 1000 * again + after


def _audit(folder: Path, count: int, *words: str) -> tuple[float, float, float]:
    """Return seconds, seconds of CPU and MiB at the peak; raises RuntimeError when it does not succeed."""
    began = time.perf_counter()
    with (folder / "said.json").open("w+b") as said:
        process = subprocess.Popen(
            [str(COMMAND), "audit", "--json", *words], cwd=folder, stdout=said, stderr=subprocess.PIPE
        )
        assert process.stderr is not None
        error = process.stderr.read()
        _, status, used = os.wait4(process.pid, 0)
        took = time.perf_counter() - began
        said.seek(0)
        document = json.loads(said.read())
    if os.waitstatus_to_exitcode(status) or document["records"] < count:
        raise RuntimeError(f"audit of {count} records failed:\n{error.decode()}")
    return took, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


if __name__ == "__main__":
    main(rounds=int(sys.argv[1]) if len(sys.argv) > 1 else 5)

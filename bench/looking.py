"""What does one refresh of the dashboard cost, and does the memory stay flat when it is left on?

    python -m bench.looking

On a stack that runs and where nothing changes, the same observer looks again and again without waiting in
between: processor time a look, its children's included, drawing too; the processes that it started after the
first looks; and the memory in use early and at the end.
"""

from __future__ import annotations

import io
import resource
import sys
import time
from collections.abc import Iterable
from contextlib import chdir
from statistics import median

import psutil
from rich.console import Console

from bench.stack import stack
from bench.table import Row, holds, machine, show
from swiftdeploy_tasks import settings
from swiftdeploy_tasks.session.run import Run
from swiftdeploy_tasks.status import terminal
from swiftdeploy_tasks.status.overview import observer_of

ENGINES = ("local", "docker")
CPU_MS, GROWN_MIB = 150.0, 8.0
WARM = 50


def main(engines: Iterable[str] = ENGINES, *, looks: int = 5000) -> None:
    """Deploy on each engine in turn, and print what a look takes."""
    print(machine())
    for engine in engines:
        with stack(engine) as made, chdir(made.place.root):
            _show(engine, looks)


def _show(engine: str, looks: int) -> None:
    started = _Started()
    observer = observer_of(Run("status", settings.find(), {}))
    console = Console(file=io.StringIO(), width=80, force_terminal=True)
    spent: list[float] = []
    early = 0.0
    for number in range(looks):
        if number == min(WARM, looks - 1):
            early, started.count = _mebibytes(), 0
        began = _cpu()
        picture = observer.look()
        with console.capture():
            console.print(terminal.render(picture))
        spent.append((_cpu() - began) * 1000)
    grown = _mebibytes() - early
    rows: list[Row] = [
        ("a look, median cpu ms", f"{median(spent):.0f}", f"<= {CPU_MS:g}", holds(median(spent) <= CPU_MS)),
        ("processes started", f"{started.count}", "0", holds(started.count == 0)),
        ("memory at first, MiB", f"{early:.0f}", "", ""),
        (f"grown over {looks} looks, MiB", f"{grown:.1f}", f"<= {GROWN_MIB:g}", holds(grown <= GROWN_MIB)),
    ]
    show((engine, "", "bound", ""), rows)


class _Started:
    """Counts the processes that this one starts."""

    def __init__(self) -> None:
        self.count = 0
        sys.addaudithook(self._hear)

    def _hear(self, event: str, _: object) -> None:
        self.count += event in {"subprocess.Popen", "os.fork", "os.posix_spawn", "os.forkpty", "os.exec"}


def _cpu() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def _mebibytes() -> float:
    return float(psutil.Process().memory_info().rss) / 2**20


if __name__ == "__main__":
    main()
